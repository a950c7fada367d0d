// Room: FaceShards.
