"""Closed formula of the peak memory of decoding above the weights: the most bytes of tensors alive at once.

It follows the shapes of ``encoder_decoder.py`` in eager mode with an attention kernel that keeps no scores (Dao et al.
2022, arXiv 2205.14135). ``tests/suites/work/test_footprint.py`` compares it with the measured peak. What kernels use
inside, and what an allocator rounds up or keeps, is left out.
"""

from .peak import moments, peak_bytes
from .remembered import Remembered

__all__ = ["Remembered", "moments", "peak_bytes"]
