"""The subcommands of `sidecar` that are more than a few lines, one a file."""
