"""A worker that decodes on request, with the packages of the tree in PYTHONPATH; one JSON line in, one JSON line out.

The first request holds the cell and the strategies; each later one names the strategy that decodes one round. The
script is the working tree's for both trees, and needs little of their packages, so that most bases fit it.
"""

import gc
import json
import os
import sys

UNFIT = (ImportError, AttributeError, TypeError)
"""Errors that packages raise if they lack what this script calls; other errors are mistakes in settings or packages."""


def answer(channel, **reply) -> None:
    print(json.dumps(reply), file=channel, flush=True)


def arms(request) -> dict:
    """Strategy -> function that decodes one round and returns its marks, or the reason why there is none."""
    import torch

    from strategies import DTYPES, ModelSpec, Session, load_model, parse

    try:
        from suites.settings.cells import Cell
        from suites.settings.inputs import make_inputs
        from suites.timing.clock import clocks
        from suites.timing.one_round import one_round
    except ImportError as error:
        try:  # a base from before suites/ had rooms
            from suites.bench import one_round
            from suites.cells import Cell
            from suites.clock import clocks
            from suites.inputs import make_inputs
        except ImportError:
            raise error from None

    fields = request["cell"]
    spec = ModelSpec(**{**fields["model"], "shape": tuple(map(tuple, fields["model"]["shape"]))})
    src_ids = fields["src_ids"] and tuple(map(tuple, fields["src_ids"]))
    cell = Cell(**{**fields, "model": spec, "src_ids": src_ids})
    torch.set_num_threads(cell.threads)
    model = load_model(spec, DTYPES[cell.dtype], cell.device, cell.seed)
    inputs = make_inputs(cell, model.config)
    clock = clocks(cell.device)[0]

    def arm(label):
        session = Session(model, parse(label), cell.batch_size, cell.src_len, cell.tgt_len)

        def round_of_marks_s():
            one_round(session, inputs, cell.stop, clock)
            return clock.marks_s()

        round_of_marks_s()
        return round_of_marks_s

    found = {}
    for label in request["strategies"]:
        try:
            found[label] = arm(label)
        except Exception as error:
            found[label] = line(error)
    return found


def line(error: BaseException) -> str:
    """Return the error as one line."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def main() -> None:
    # What the packages print goes to standard error. An editable installation must not lend a base the modules of
    # another tree.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.meta_path[:] = [f for f in sys.meta_path if not str(getattr(f, "__module__", "")).startswith("__editable__")]
    try:
        found = arms(json.loads(sys.stdin.readline()))
    except UNFIT as error:
        answer(channel, unfit=line(error))
        return
    except Exception as error:
        answer(channel, mistake=line(error))
        return
    answer(channel, arms={label: arm if isinstance(arm, str) else "" for label, arm in found.items()})
    gc.collect()
    gc.freeze()
    for request in sys.stdin:
        gc.collect()
        gc.disable()
        try:
            answer(channel, marks_s=found[json.loads(request)]())
        except Exception as error:
            answer(channel, failed=line(error))
        finally:
            gc.enable()


if __name__ == "__main__":
    main()
