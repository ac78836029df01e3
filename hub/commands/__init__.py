"""The subcommands of `hub`, one a file, imported only when they are called."""
