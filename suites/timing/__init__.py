"""Where time is taken: the clock, the one timed body, and the rest before it."""
