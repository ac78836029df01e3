"""The hub: takes tasks in, writes them down, hands them out. Pure `core`, and a thin shell around it."""
