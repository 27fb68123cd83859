"""Reading MRT dumps: how they are recognised, and what is told of what was left out."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from rov import _mrt
from rov._mrt_peers import Peers
from rov.errors import RibFileError
from rov.rib.columns import Columns, Families
from rov.rib.table import RibCounts

_HEADER = struct.Struct(">IHHI")

_TYPES = frozenset((5, 9, 10, 11, 12, 13, 16, 17, 32, 33, 48, 49))
"""BGP and OSPF and IS-IS, which stand in dumps as well (RFC 6396 §4 and its appendix)."""

_MAX_SUBTYPE = 12


def is_mrt(head: bytes) -> bool:
    """Whether data begin with the header of an MRT record.

    >>> is_mrt(bytes.fromhex("4e94914f000d000100000010")), is_mrt(b"prefix,origin")
    (True, False)
    """
    if len(head) < _HEADER.size:
        return False
    _, kind, subtype, size = _HEADER.unpack_from(head)
    return kind in _TYPES and subtype <= _MAX_SUBTYPE and size <= _mrt.MAX_RECORD


class MrtReader:
    """Reads the records of one dump; the arguments are those of ``_mrt.Parser``.

    >>> reader = MrtReader("x", Peers())
    >>> list(reader.rows(iter([bytes(5)]))), list(reader.warnings())
    ([], ['x: cut short: 5 octets at offset 0 are no whole record'])
    """

    format = "MRT"
    tells_peers = True

    def __init__(
        self,
        name: str,
        peers: Peers,
        *,
        distinct: bool = False,
        paths: bool = False,
        multicast: bool = False,
        local: bool = False,
    ) -> None:
        self.name = name
        self.parser = _mrt.Parser(peers, distinct, paths, multicast, local)

    def stops(self, pieces: Iterator[bytes]) -> Iterator[None]:
        """Read on from stop to stop: at each, what waits in ``parser`` is to be taken.

        RibFileError: there is no sound record.
        """
        for piece in pieces:
            self.parser.feed(piece)
            while self.parser.parse():
                yield
            yield
        seen = self.parser.counts()
        if seen["bad"] and seen["bad"] >= seen["records"]:
            offset, _, _, fault = self.parser.named()[0]
            reason = f"no sound MRT record, the first at offset {offset}: {_mrt.FAULTS[fault]}"
            raise RibFileError(self.name, reason)

    def rows(self, pieces: Iterator[bytes]) -> Iterator[Families]:
        """The rows of both families, at most some 200,000 at a time."""
        for _ in self.stops(pieces):
            ipv4, ipv6 = self.parser.take_rows()
            if ipv4[1] or ipv6[1]:
                yield Columns.of(4, ipv4), Columns.of(6, ipv6)

    def take_paths(self) -> tuple[bytes, ...]:
        """Paths and communities of the rows given last."""
        return self.parser.take_paths()

    def warnings(self) -> Iterator[str]:
        """What is to be said of the first bad records, and of a tail cut off."""
        for offset, kind, subtype, fault in self.parser.named():
            where = f"{self.name}: offset {offset}"
            yield f"{where}: record of type {kind}, subtype {subtype}: {_mrt.FAULTS[fault]}"
        if octets := self.parser.pending():
            where = f"{octets} octets at offset {self.parser.offset}"
            yield f"{self.name}: cut short: {where} are no whole record"

    def counts(self) -> RibCounts:
        """What was seen so far."""
        seen = self.parser.counts()
        return RibCounts(
            entries=seen["entries"],
            as_set=seen["as_set"],
            empty_path=seen["empty_path"],
            withdrawn=seen["withdrawn"],
            unknown_peers=seen["unknown_peers"],
            malformed=seen["malformed"],
            skipped=seen["bad"],
            passed=seen["passed"] + seen["local"],
        )
