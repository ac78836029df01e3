"""The wire between a hub and its agents: frames, codec, conversation. Pure; knows nobody but msgspec."""
