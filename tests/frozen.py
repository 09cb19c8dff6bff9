"""What is imported and cached in a process of the tests is no garbage, and is not looked through again and again."""

import gc


def freeze() -> None:
    """Let collections skip what is alive now, until the process ends.

    Each measured cell freezes the objects that are alive and thaws all objects after it. Here it thaws none: what was
    alive then is never collected if it is in a cycle of references.
    """
    gc.collect()
    keep()


def keep() -> None:
    """The same without a collection before: for a process that has just been forked from one without garbage."""
    gc.freeze()
    gc.unfreeze = _nothing


def _nothing() -> None:
    pass
