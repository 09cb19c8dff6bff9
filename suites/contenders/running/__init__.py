"""Running contenders: one process per contender, used by one arm at a time, and the arm that stands for it."""
