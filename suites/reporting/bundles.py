"""Scripts that the page carries: Vega from vl-convert's wheel, DataTables from that of itables. No network."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from importlib.resources import files

import platformdirs

from ..store.files import write_text

LICENSES = (
    "Vega, Vega-Lite, Vega-Embed: BSD 3-Clause, University of Washington Interactive Data Lab. DataTables: MIT, "
    "SpryMedia Ltd. jQuery: MIT, OpenJS Foundation."
)


@cache
def vega() -> str:
    """The script that defines ``vegaEmbed``; putting it together takes seconds, so it is kept for this version."""
    kept = platformdirs.user_cache_path("decodebench") / f"vega-{version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    import vl_convert

    script = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its own stub forgets the default
    try:
        write_text(kept, script)
    except OSError:  # a home that cannot be written: put together each time
        pass
    return script


@cache
def datatables() -> tuple[str, str]:
    """Script and style sheet; the script, a module, leaves ``DataTable`` where the page's own lines find it."""
    folder = files("itables").joinpath("html")
    script = folder.joinpath("dt_bundle.js").read_text(encoding="utf-8")
    style = folder.joinpath("dt_bundle.css").read_text(encoding="utf-8")
    return exported(script, "default", "DataTable"), style


def exported(module: str, name: str, to: str) -> str:
    """A module with its list of exports replaced by setting ``window.<to>`` to what it exports as ``name``.

    >>> exported("let a=1;export{b as c,a as default};", "default", "A")
    'let a=1;window.A=a;'
    """
    found = re.search(rf"export\s*\{{[^{{}}]*?([\w$]+) as {name}\b[^{{}}]*\}}", module)
    if found is None:
        raise ValueError(f"the script exports no {name}; this version of its package is not known, take an earlier one")
    return f"{module[: found.start()]}window.{to}={found[1]}{module[found.end() :]}"
