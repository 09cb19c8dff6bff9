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

TOOLS = "decoding/tools.html"
SHOWN = """\
```{raw} html
<p>Move k, and see what each strategy computes again and what it keeps. Below it, a calculator of what fits in memory
(<a href="tools.html">both on a page of their own</a>):</p>
<iframe src="tools.html" title="A decoding step under two strategies, and what fits in memory" loading="lazy"
 style="width:100%;height:44rem;border:1px solid #8884;border-radius:.3rem"></iframe>
```
"""


def _show_tools(app, name, source):
    """Put the slider and the memory calculator first on the page about decoding, which is text elsewhere."""
    if name == "decoding/page":
        title, _, rest = source[0].partition("\n\n")
        source[0] = f"{title}\n\n{SHOWN}\n{rest}"


def _write_tools(app, exception):
    if exception is None and app.builder.format == "html":
        from suites.reporting.standalone import write_tools

        write_tools(Path(app.outdir) / TOOLS)


def setup(app):
    """Connect what writes and shows the tools."""
    app.connect("source-read", _show_tools)
    app.connect("build-finished", _write_tools)
