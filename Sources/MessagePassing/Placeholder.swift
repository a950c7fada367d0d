// Room: MessagePassing.
