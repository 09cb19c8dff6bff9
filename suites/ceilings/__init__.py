"""Ceilings of this machine, measured in bytes and FLOPs per second, and floors: the least time that a step can take.

``kernels`` holds what is timed, ``meter`` times it, ``cache`` reads the size of the last cache, and ``floor`` turns
ceilings into floors. The roofline model is that of Williams, Waterman and Patterson 2009 (doi 10.1145/1498765.1498785).
"""
