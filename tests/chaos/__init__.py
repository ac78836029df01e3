"""Real processes, killed, cut and stalled under load; then a checker that reads what everybody wrote down."""
