"""Whether a process runs; it may end while that is asked."""

from pathlib import Path


def runs(pid: int | str) -> bool:
    """False if it is a zombie, too: it has ended, and whoever has started it has not asked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def command_line(pid: int | str) -> bytes:
    """Its arguments, each with a zero after it; none if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
