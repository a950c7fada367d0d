// Room: ForgeryMining.
