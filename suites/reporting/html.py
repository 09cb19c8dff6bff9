"""One HTML file from a template, with its scripts and styles inside and a policy that forbids outside loads."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from ..store.files import finite
from .bundles import LICENSES, datatables, vega

TEMPLATES = (
    "cell.html.jinja", "page.html.jinja", "parts.html.jinja", "run.html.jinja", "standalone.html.jinja",
    "tools.html.jinja", "two.html.jinja",
)  # fmt: skip
TOOLS = ("letters.js", "slider.js", "memory.js")
"""Parts of the script of the tools, in order."""
POLICY = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The part of the content security policy that is the same for every page.

``render`` adds that only the page's own scripts run, by their hashes, and that nothing is loaded from outside.
"""


def render(template: str, rows: dict[str, Any], **content: Any) -> str:
    """Make the whole page. ``rows`` are the data of its one large table, from ``numbers.numbers``."""
    script, style = datatables()
    parts = {"vega": vega(), "datatables": script, "start": "\n".join(map(_file, ("hover.js", "start.js")))}
    given = parts | ({"tools": _tools()} if content.get("tools") else {})
    scripts = {name: _inside(text) for name, text in given.items()}
    styles = "\n".join([style, _file("page.css"), _file("tools.css")])
    policy = _policy(scripts.values())
    return fragment(template, policy=policy, styles=styles, scripts=scripts, licenses=LICENSES, rows=rows, **content)


def page_of_tools(models: Sequence[dict[str, Any]]) -> str:
    """Make a page that holds the tools alone, for models as ``tools.model_data`` describes them."""
    script = _inside(_tools())
    styles = "\n".join([_file("page.css"), _file("tools.css")])
    return fragment("standalone.html.jinja", policy=_policy([script]), styles=styles, script=script, models=models)


def _tools() -> str:
    return "\n".join(map(_file, TOOLS))


def _policy(scripts: Iterable[str]) -> str:
    """Allow these scripts by their hashes, and no others."""
    hashes = " ".join(f"'sha256-{_sha256(text)}'" for text in scripts)
    return f"default-src 'none'; script-src {hashes}; {POLICY}"


def fragment(template: str, **content: Any) -> str:
    """Make a piece of HTML from a template, without the scripts and styles of a page."""
    return _templates().get_template(template).render(**content)


@cache
def _templates() -> Environment:
    loader = DictLoader({name: _file(name) for name in TEMPLATES})
    environment = Environment(
        loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["script"] = _json
    environment.filters["prose"] = _prose
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment


def _file(name: str) -> str:
    return files("suites.reporting").joinpath(name).read_text(encoding="utf-8")


def _inside(script: str) -> str:
    """Escape a script, so that no text in it ends the script element early."""
    return re.sub("</(script)", r"<\\/\1", script, flags=re.IGNORECASE).replace("<!--", "<\\!--")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _prose(text: str) -> Markup:
    """Turn text into HTML; what is between backticks becomes code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _json(content: Any) -> Markup:
    """Write data as JSON that is safe inside a script element, which no label in it can end; NaN becomes null."""
    text = json.dumps(finite(content), allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))
