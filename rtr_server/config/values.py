"""The friendly types of configuration values, and the one convention for writing them.

    type      in the file                                   in Python
    Seconds   30, "30s", "10m", "1h30m", "2d", "500ms"      a float, seconds
    Octets    65536, "64KiB", "64MiB", "2GiB", "75MB"       an int, octets
    Share     0.001, "0.1%"                                 a float from 0 to 1
    Network   "192.0.2.0/24", "2001:db8::/32", "192.0.2.1"  an ipaddress network, no host bits set
    Endpoint  "192.0.2.1:323", "[::1]:8323"                 rtr_server.endpoint.Endpoint
    Path      "vrps.json", "/var/lib/x"                     a Path; relative to the directory of the file
    Octal     "0660"                                        an int: permissions of a file

A bare number is always the base unit: seconds, octets, a share of one.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias

UNITS_OF_TIME = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
UNITS_OF_SIZE = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}

MAX_SECONDS = 366 * 86_400
"""A year: whatever is longer was meant otherwise, and timers of the event loop overflow far above."""

MAX_OCTETS = 1 << 50
"""A pebibyte: above any size that means something here."""

_PERIOD = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([a-zA-Z]+)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")
_MODE = re.compile(r"0?[0-7]{3}")

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Seconds(float):
    """A time in seconds, written as text with units or as a number.

    >>> Seconds.parse("1h30m")
    5400.0
    """

    @classmethod
    def parse(cls, value: object) -> Seconds:
        """From the value in the file; ValueError says what was expected."""
        if isinstance(value, str):
            parts = _PERIOD.findall(value)
            whole = "".join(number + unit for number, unit in parts) == value
            seconds = sum(float(number) * UNITS_OF_TIME[unit] for number, unit in parts) if whole else -1
        else:
            seconds = _number(value)
        if not 0 <= seconds <= MAX_SECONDS or value == "":
            raise ValueError(f'{value!r}: expected a time such as "10m", "1h30m" or a number of seconds')
        return cls(seconds)

    def __str__(self) -> str:
        """As short as it can be written.

        >>> str(Seconds(5400)), str(Seconds(0.5)), str(Seconds(0))
        ('1h30m', '500ms', '0s')
        """
        left, parts = round(self * 1_000), []
        for unit in ("d", "h", "m", "s", "ms"):
            count, left = divmod(left, round(UNITS_OF_TIME[unit] * 1_000))
            parts += [f"{count}{unit}"] if count else []
        return "".join(parts) or "0s"


class Octets(int):
    """A size in octets, written as text with a unit or as a number.

    >>> Octets.parse("64MiB")
    67108864
    """

    @classmethod
    def parse(cls, value: object) -> Octets:
        """From the value in the file; ValueError says what was expected."""
        if isinstance(value, str):
            found = _SIZE.fullmatch(value)
            octets = float(found[1]) * UNITS_OF_SIZE.get(found[2], -1) if found else -1
        else:
            octets = _number(value)
        if not 0 <= octets <= MAX_OCTETS or octets != int(octets):
            units = ", ".join(UNITS_OF_SIZE)
            raise ValueError(f'{value!r}: expected a size such as "64MiB" ({units}) or a number of octets')
        return cls(octets)

    def __str__(self) -> str:
        """In the largest binary unit that divides it.

        >>> str(Octets(67108864)), str(Octets(1000))
        ('64MiB', '1000B')
        """
        for unit in ("GiB", "MiB", "KiB"):
            if self and self % UNITS_OF_SIZE[unit] == 0:
                return f"{self // UNITS_OF_SIZE[unit]}{unit}"
        return f"{int(self)}B"


class Share(float):
    """A share of a whole, 0 to 1, written as a percentage or as a number.

    >>> Share.parse("0.1%")
    0.001
    """

    @classmethod
    def parse(cls, value: object) -> Share:
        """From the value in the file; ValueError says what was expected."""
        found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        share = float(found[1]) / 100 if found else _number(value)
        if not 0 <= share <= 1:
            raise ValueError(f'{value!r}: expected a share such as "0.1%" or a number from 0 to 1')
        return cls(share)

    def __str__(self) -> str:
        """As a percentage.

        >>> str(Share(0.001))
        '0.1%'
        """
        return f"{self * 100:g}%"


class Octal(int):
    """Permissions of a file, written as text in octal.

    >>> Octal.parse("0660") == 0o660
    True
    """

    @classmethod
    def parse(cls, value: object) -> Octal:
        """From the value in the file; ValueError says what was expected."""
        if not isinstance(value, str) or not _MODE.fullmatch(value):
            raise ValueError(f'{value!r}: expected permissions in octal such as "0660", as text')
        return cls(int(value, 8))

    def __str__(self) -> str:
        """In octal, four digits.

        >>> str(Octal(0o660))
        '0660'
        """
        return f"{int(self):04o}"


def network(value: object) -> Network:
    """An IP prefix, or an address that stands for itself alone; ValueError says what was expected.

    >>> str(network("192.0.2.1"))
    '192.0.2.1/32'
    """
    if not isinstance(value, str):
        raise ValueError(f'{value!r}: expected a prefix such as "192.0.2.0/24", as text')
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f'{error}: expected a prefix such as "192.0.2.0/24"') from error


def _number(value: object) -> float:
    """A TOML number; -1, which nothing allows, for all else. True is no number here."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
