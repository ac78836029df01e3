"""The code about itself: the conventions that run, each with a message that names the remedy."""
