"""What can be wrong with a configuration: faults at keys, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class SectionError(ValueError):
    """Something wrong at a key of the section at hand; raised by ``__post_init__`` of section structs.

    ``key`` may go deeper ("tls.certificate"); "" means the section as a whole.

    >>> str(SectionError("expire", "2m: expected at least 10m"))
    'expire: 2m: expected at least 10m'
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key}: {text}" if key else text)
        self.key = key
        self.text = text


class Problem(msgspec.Struct, frozen=True):
    """A fault where it stands: key path (entries of lists counted from 1), and the line if known.

    >>> str(Problem("listen[1].tls.certificate", "no such file", 7))
    'line 7: listen[1].tls.certificate: no such file'
    """

    key: str
    text: str
    line: int | None = None

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        return where + (f"{self.key}: {self.text}" if self.key else self.text)


class ConfigError(Exception):
    """The file cannot be used; ``faults`` has everything that is wrong with it, the message the first.

    >>> str(ConfigError("x.toml", [Problem("log.levle", "unknown key", 3)]))
    'x.toml: line 3: log.levle: unknown key'
    """

    def __init__(self, name: str, faults: Sequence[Problem]) -> None:
        self.name = name
        self.problems = tuple(faults)
        more = f" (and {len(faults) - 1} more, see rtr-server check-config)" if len(faults) > 1 else ""
        super().__init__(f"{name}: {faults[0]}{more}")
