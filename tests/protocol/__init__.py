"""The wire by itself: frames, codec and conversation, without a socket."""
