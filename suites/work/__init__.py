"""FLOPs, bytes moved and memory of a cell, by the model's closed formulas, before anything runs."""
