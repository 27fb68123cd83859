"""What a SLURM file says, entry by entry: filters take away, assertions add (RFC 8416 §3.3, §3.4)."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from rov._checks import as_kind
from rov.types import Aspa, Prefix, RouterKey, Vrp


class PrefixFilter(msgspec.Struct, frozen=True):
    """Removes VRPs: those at or under ``prefix``, those of ``asn``, or, with both, those that are both.

    >>> str(PrefixFilter("x.json", "$", Prefix.parse("192.0.2.0/24"), 64496))
    '192.0.2.0/24 AS64496'
    """

    file: str
    path: str
    prefix: Prefix | None
    asn: int | None
    comment: str | None = None

    def __str__(self) -> str:
        return " ".join(_given(self.prefix, self.asn))


class RouterKeyFilter(msgspec.Struct, frozen=True):
    """Removes router keys of ``asn``, with ``ski`` (20 octets), or, with both, those that have both.

    >>> str(RouterKeyFilter("x.json", "$", 64496, None))
    'router keys AS64496'
    """

    file: str
    path: str
    asn: int | None
    ski: bytes | None
    comment: str | None = None

    def __str__(self) -> str:
        ski = None if self.ski is None else f"SKI {self.ski.hex().upper()}"
        return " ".join(("router keys", *_given(None, self.asn), *([ski] if ski else [])))


class AspaFilter(msgspec.Struct, frozen=True):
    """Removes the ASPA of ``customer``.

    >>> str(AspaFilter("x.json", "$", 64496))
    'ASPA of AS64496'
    """

    file: str
    path: str
    customer: int
    comment: str | None = None

    def __str__(self) -> str:
        return f"ASPA of AS{self.customer}"


class Assertion(msgspec.Struct, frozen=True):
    """Adds a VRP, a router key or an ASPA, whatever the filters say.

    >>> str(Assertion("x.json", "$", Aspa(64496, (64497,))))
    'ASPA of AS64496: AS64497'
    """

    file: str
    path: str
    element: Vrp | RouterKey | Aspa
    comment: str | None = None

    def __str__(self) -> str:
        return shown(self.element)


Filter: TypeAlias = PrefixFilter | RouterKeyFilter | AspaFilter


def shown(element: Vrp | RouterKey | Aspa) -> str:
    """An element of a payload in a few words; ArgumentError: it is none.

    >>> shown(RouterKey(64496, bytes(20), b"key"))
    'router key AS64496 SKI 0000000000000000000000000000000000000000'
    """
    if isinstance(element, RouterKey):
        return f"router key AS{element.asn} SKI {element.ski.hex().upper()}"
    if isinstance(element, Aspa):
        return f"ASPA of AS{element.customer}: {' '.join(f'AS{asn}' for asn in element.providers)}"
    return str(as_kind(element, Vrp, "element"))


def _given(prefix: Prefix | None, asn: int | None) -> list[str]:
    return [str(prefix)] * (prefix is not None) + [f"AS{asn}"] * (asn is not None)
