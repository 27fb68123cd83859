"""One saved Snapshot a host: whoever needs it first puts it in its place, all others map the same file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from rov.errors import EngineError
from rov.snapshot import Snapshot

KEPT_SECONDS = 24 * 3600
"""How long a file that nobody asked for stays: longer than a run takes. Who has mapped it keeps it anyway."""

SUFFIX = ".snapshot"


def folder() -> Path:
    """Where this user's Snapshots are on this host, made if it is missing.

    EngineError: somebody else owns it, or others may write there.

    >>> folder().is_dir()
    True
    """
    path = Path(tempfile.gettempdir()) / f"rovkit-{os.geteuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
    if not private:
        raise EngineError(f"{path}: expected a directory of this user that others cannot write to")
    return path


def place(snapshot: Snapshot) -> str:
    """Save a Snapshot under a name that its octets give; the name.

    >>> name = place(Snapshot.empty())
    >>> Snapshot.open(folder() / name) == Snapshot.empty()
    True
    """
    within = folder()
    temporary = within / f".{secrets.token_hex(8)}"
    try:
        snapshot.save(temporary)
        name = hashlib.sha256(temporary.read_bytes()).hexdigest() + SUFFIX
        os.replace(temporary, within / name)
    finally:
        temporary.unlink(missing_ok=True)
    _sweep(within / name)
    return name


def placed(name: str, fetch: Callable[[], str]) -> Path:
    """The path of a Snapshot on this host; where it is missing, it is put there from the file of ``fetch``.

    >>> placed(place(Snapshot.empty()), lambda: "/nonexistent").name.endswith(".snapshot")
    True
    """
    path = folder() / name
    if not path.exists():
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            shutil.copyfile(fetch(), temporary)
            # of several that come at once the first one's file stays: the mappings must be of one
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    _sweep(path)
    return path


def _sweep(used: Path) -> None:
    """Note that a file was used, and remove those that were not for long; others may do the same."""
    with contextlib.suppress(OSError):
        os.utime(used)
        now = used.stat().st_mtime
        for path in used.parent.iterdir():
            with contextlib.suppress(OSError):
                if path != used and now - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()
