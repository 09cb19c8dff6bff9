"""What a cell must compute, move and hold, by the model's closed formulas.

FLOPs, bytes, memory, before anything runs.
"""
