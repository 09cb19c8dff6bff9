"""decodebench measures decoding strategies, from the command line (`python -m suites --help`) or from Python.

``measure`` runs what ``python -m suites run`` runs. ``load`` reads a run that was measured.
"""

from .notebook import Measurement, load, measure
from .version import __version__

__all__ = ["Measurement", "__version__", "load", "measure"]
