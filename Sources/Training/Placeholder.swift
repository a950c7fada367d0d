// Room: Training.
