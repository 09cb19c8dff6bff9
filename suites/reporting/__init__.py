"""The report: one HTML page of a run, or of two, made from its folder alone and in need of nothing else."""
