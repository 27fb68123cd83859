"""MRT dumps: how they are recognised, and what is told of what was left out."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from rov import _mrt
from rov.errors import RibFileError
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


def mrt_warnings(name: str, parser: _mrt.Parser) -> Iterator[str]:
    """What a parser at its end has to say of bad records and of a tail cut off.

    >>> from rov._mrt_peers import Peers
    >>> parser = _mrt.Parser(Peers())
    >>> parser.feed(bytes(5)), parser.parse(), list(mrt_warnings("x", parser))
    (None, False, ['x: cut short: 5 octets at offset 0 are no whole record'])
    """
    for offset, kind, subtype, fault in parser.named():
        yield f"{name}: offset {offset}: record of type {kind}, subtype {subtype}: {_mrt.FAULTS[fault]}"
    if parser.pending():
        yield f"{name}: cut short: {parser.pending()} octets at offset {parser.offset} are no whole record"


def mrt_counts(name: str, parser: _mrt.Parser) -> RibCounts:
    """What a parser at its end has seen; RibFileError if it has found bad records and no sound one.

    >>> from rov._mrt_peers import Peers
    >>> mrt_counts("x", _mrt.Parser(Peers())).entries
    0
    """
    seen = parser.counts()
    if seen["bad"] and seen["bad"] >= seen["records"]:
        offset, _, _, fault = parser.named()[0]
        raise RibFileError(name, f"no sound MRT record, the first at offset {offset}: {_mrt.FAULTS[fault]}")
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
