"""The jobs of a run: what is planned, what of it is measured, and in which process each cell is measured."""
