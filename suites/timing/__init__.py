"""Where time is measured: the clock, the one function that is timed, and the rest before it."""
