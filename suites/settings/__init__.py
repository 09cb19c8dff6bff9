"""From a command line to frozen cells: keys and their values, what goes together, models, sources and drop-in files."""
