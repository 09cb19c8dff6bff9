"""Sphinx: the pages of this folder, warnings as errors (`make docs`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "decodebench"
author = "the decodebench developers"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "decodebench"
exclude_patterns = ["_build", "decoding/plots"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_default_options = {"undoc-members": True}
# Docstrings are plain text with `backticks`; a default role keeps them as code.
default_role = "code"
suppress_warnings = ["myst.header"]
