// Room: Reports.
