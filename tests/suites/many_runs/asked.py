"""``history`` as it is asked for, and what comes of it."""

from suites.__main__ import main
from suites.many_runs.history import make_history
from suites.many_runs.runs import read_past_run

from ..two_runs.folders import edit as edit_table

COUNT, AT = 16, 9
"""Number of runs with a step among them, and the first run after it."""


def told(capsys, folder, *arguments, code=0):
    """(standard output in one line, standard error) of ``history`` of a folder."""
    assert main(["history", str(folder), "--dir", str(folder / ".out"), *arguments]) == code
    found = capsys.readouterr()
    return " ".join(found.out.split()), found.err


def history(folder, strategy="static_kv", **how):
    """The history of the runs in a folder."""
    return make_history([read_past_run(path) for path in sorted(folder.glob("run*"))], None, strategy, **how)


def in_another_cell(run):
    """As if the cell of a run had another number of threads."""
    for strategy in ("full_recompute", "cross_kv", "static_kv"):
        edit_table(run, "threads", strategy, lambda _: 3)
        edit_table(run, "cell", strategy, lambda _: "another")
    steps = run / "steps.csv"
    steps.write_text(steps.read_text().splitlines()[0] + "\n")
