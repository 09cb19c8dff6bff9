"""The verbs of ``python -m suites VERB``: one module per verb, and what they need to read arguments and to print."""

from __future__ import annotations

VERBS = {
    "run": "measure strategies in one cell or over a sweep, and draw the plots",
    "collect": "tables, plots and report of what a run has measured so far",
    "list": "strategies, models, sweeps, metrics and contenders",
    "decode": "pronounce a phrase with every strategy and see that they agree",
    "shapes": "every matrix product of the running model, and which of them grow",
    "compare": "two runs side by side, and whether the second is worse",
    "history": "one case over many runs, and since when it is slower",
    "report": "one HTML page of a run, or of two, that needs no network",
    "plot": "draw the plots of a run again",
    "profile": "where the time of a decode step goes: a trace and tables",
    "roofline": "what this machine can do at most: bytes and FLOPs a second",
    "completion": "a script that completes verbs, keys and names in bash, zsh or fish",
}
"""Verb -> what it does. Each verb is a module of this folder with a function ``main(arguments)``."""
