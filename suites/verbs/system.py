"""What the operating system refused, in one line: which file, why, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

REMEDIES = {
    errno.ENOSPC: "free some space there, or write elsewhere (hydra.run.dir=DIR, --dir DIR)",
    errno.EDQUOT: "free some of your quota, or write elsewhere (hydra.run.dir=DIR, --dir DIR)",
    errno.EROFS: "write elsewhere (hydra.run.dir=DIR, --dir DIR)",
    errno.EACCES: "get the permission, or name another place (hydra.run.dir=DIR, --dir DIR)",
    errno.EPERM: "get the permission, or name another place (hydra.run.dir=DIR, --dir DIR)",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f unlimited)",
    errno.EMFILE: "raise the limit of open files (ulimit -n 1024)",
    errno.ENFILE: "close programs, as the whole system has too many files open",
    errno.ENOENT: "see that the path, and the folder in which you are, still exist",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "name a folder, not a file",
    errno.EISDIR: "name a file, not a folder",
    **dict.fromkeys((errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK), "write to a file system with locks (flock)"),
    errno.EIO: "see whether the disk is whole",
}


def told(error: OSError) -> str:
    """Return the error as one line: file, reason, remedy.

    >>> told(OSError(errno.ENOSPC, "No space left on device", "/data/table.csv"))
    '/data/table.csv: No space left on device; free some space there, or write elsewhere (hydra.run.dir=DIR, --dir DIR)'
    """
    if error.errno == errno.ENOENT and error.filename is None and _stands_nowhere():
        return "the folder in which you are was deleted; go to another (cd)"
    where = f"{error.filename}: " if error.filename is not None else ""
    why = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "see that the path exists and that you may read and write there")
    return f"{where}{why}; {remedy}"


def _stands_nowhere() -> bool:
    try:
        Path.cwd()
    except OSError:
        return True
    return False
