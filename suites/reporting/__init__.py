"""The report: one HTML page on a run, or on two, made from run folders alone. It needs no other file and no network."""
