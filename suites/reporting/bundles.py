"""Scripts that are part of the page: Vega from the package vl-convert, DataTables from itables. No network is used."""

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
    """Return the script that defines ``vegaEmbed``.

    Bundling it takes seconds, so the script is kept in the user's cache folder, under the version of vl-convert.
    """
    kept = platformdirs.user_cache_path("decodebench") / f"vega-{version('vl-convert-python')}.js"
    try:
        return kept.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    import vl_convert

    script = str(vl_convert.javascript_bundle())  # type: ignore[call-arg]  # its own stub forgets the default
    try:
        write_text(kept, script)
    except OSError:  # the home cannot be written, so the script is bundled each time
        pass
    return script


@cache
def datatables() -> tuple[str, str]:
    """Return the script and the style sheet of DataTables. The script sets ``window.DataTable`` for start.js."""
    folder = files("itables").joinpath("html")
    script = folder.joinpath("dt_bundle.js").read_text(encoding="utf-8")
    style = folder.joinpath("dt_bundle.css").read_text(encoding="utf-8")
    return exported(script, "default", "DataTable"), style


def exported(module: str, name: str, to: str) -> str:
    """Make a plain script of a module: in place of its exports, it sets ``window.<to>`` to what it exports as ``name``.

    Raises ValueError if the module has no such export.

    >>> exported("let a=1;export{b as c,a as default};", "default", "A")
    'let a=1;window.A=a;'
    """
    found = re.search(rf"export\s*\{{[^{{}}]*?([\w$]+) as {name}\b[^{{}}]*\}}", module)
    if found is None:
        raise ValueError(f"the script exports no {name}: install an earlier version of its package")
    return f"{module[: found.start()]}window.{to}={found[1]}{module[found.end() :]}"
