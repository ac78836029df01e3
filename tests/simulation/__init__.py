"""A seeded world around the shipped deciders: nothing of theirs is copied here, only what surrounds them is
doubled."""
