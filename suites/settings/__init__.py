"""From a command line to frozen cells: keys, their values, which values go together, models and sources."""
