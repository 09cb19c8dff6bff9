"""One that decodes by this project's own means, and others that go wrong."""

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

from suites.contenders import Contender, Decoded, UnavailableError, register


@register("own")
class Own(Contender):
    """This project's static_kv, as if it were another's."""

    def prepare(self, checkpoint, cell):
        import torch

        import strategies

        self.torch, self.greedy = torch, strategies.greedy
        model = strategies.load_model(checkpoint)
        self.session = strategies.Session(
            model, strategies.parse("static_kv"), cell.batch_size, cell.src_len, cell.tgt_len
        )
        self.rounds = 0
        print("a line that is no answer")

    def round(self, src_ids, stop):
        self.rounds += 1
        start = time.perf_counter()
        self.session.prefill(self.torch.tensor(src_ids))
        tokens, marks_s = [], [0.0, time.perf_counter() - start]
        for token_B in self.greedy(self.session, stop):
            tokens.append(token_B)
            marks_s.append(time.perf_counter() - start)
        decoded = Decoded(self.torch.stack(tokens, 1).tolist(), marks_s)
        Path(__file__).with_suffix(".json").write_text(json.dumps([decoded.token_ids, marks_s]))
        return decoded


@register("parrot")
class Parrot(Contender):
    """Says again what that one said, as importing torch ten times more takes a minute."""

    def prepare(self, checkpoint, cell):
        self.rounds = 0

    def round(self, src_ids, stop):
        self.rounds += 1
        return Decoded(*json.loads(Path(__file__).with_suffix(".json").read_text()))


@register("crashes")
class Crashes(Parrot):
    """Ends in its second round."""

    def round(self, src_ids, stop):
        if self.rounds == 1:
            print("no more memory in the engine", file=sys.stderr)
            os._exit(3)
        return super().round(src_ids, stop)


@register("raises")
class Raises(Parrot):
    """An error in its third round."""

    def round(self, src_ids, stop):
        if self.rounds == 2:
            raise ValueError("a bad batch")
        return super().round(src_ids, stop)


@register("hangs")
class Hangs(Parrot):
    """Does not answer."""

    def round(self, src_ids, stop):
        if self.rounds == 2:
            time.sleep(3600)
        return super().round(src_ids, stop)


@register("killed")
class Killed(Parrot):
    """Killed as by the kernel."""

    def round(self, src_ids, stop):
        if self.rounds == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().round(src_ids, stop)


@register("wrong")
class Wrong(Parrot):
    """Another token at the third step."""

    def round(self, src_ids, stop):
        decoded = super().round(src_ids, stop)
        decoded.token_ids[1][2] = (decoded.token_ids[1][2] + 7) % 50 + 3
        return decoded


@register("coarse")
class Coarse(Wrong):
    """The same by weights of another type."""

    exact = False


@register("blind")
class Blind(Parrot):
    """Only its start and its return are known."""

    def round(self, src_ids, stop):
        decoded = super().round(src_ids, stop)
        return Decoded(decoded.token_ids, [0.0, math.nan, math.nan, decoded.marks_s[-1]], every_step=False)


@register("short")
class Short(Parrot):
    """A token less than it was asked for."""

    def round(self, src_ids, stop):
        decoded = super().round(src_ids, stop)
        return Decoded([row[:-1] for row in decoded.token_ids], decoded.marks_s)


@register("absent")
class Absent(Parrot):
    """Not installed."""

    requires = ("no-such-engine",)


@register("lacks")
class Lacks(Contender):
    """A library that turns out to lack something once it is loaded."""

    def prepare(self, checkpoint, cell):
        raise UnavailableError("the engine was built without this kind of processor")
