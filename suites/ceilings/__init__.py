"""What this machine can do at most, measured: bytes and FLOPs a second, and the time that a step takes at least.

``kernels`` says what is timed, ``meter`` times it, ``cache`` reads the size of the last cache, ``floor`` turns ceilings
into floors. The roofline model is that of Williams, Waterman and Patterson 2009 (doi 10.1145/1498765.1498785).
"""
