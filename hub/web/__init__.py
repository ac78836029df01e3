"""The page: plain modules, served from the package, under a strict content policy."""
