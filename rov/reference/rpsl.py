"""Route and aut-num objects of an IRR dump (RFC 2622, RFC 4012), plain or packed.

Objects are separated by blank lines; a line is "name: value", one that begins with a space, a tab or a plus
goes on with the one before; "#" begins a comment, a line that begins with "%" is one. Dumps have bad objects
at all times: those are left out and counted.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, NamedTuple, Self, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from rov._checks import as_paths
from rov._prefix import parse
from rov._rows import asn_of
from rov.columns import VrpColumns
from rov.errors import PrefixError, ReferenceFileError
from rov.index import VrpIndex
from rov.reference.lines import octets_in_pieces
from rov.routes import RouteBatch
from rov.snapshot import Snapshot
from rov.types import IPV4_BITS, IPV6_BITS, Family

MAX_ATTRIBUTES = 100_000
"""Lines of one object: the largest as-sets and aut-nums have some ten thousand."""

MAX_OBJECT_BYTES = 16 << 20
"""Octets of one object: a text without blank lines is no dump."""

MAX_OBJECTS = 16 * 2**20
"""Objects of one file: four times the route objects of all IRRs in 2026."""

MAX_NAMES = 4096
"""Names of attributes that are remembered as they are written; RPSL has some hundred."""

LONGEST_TEXT = 200
"""Characters of a source or of maintainers that are kept."""

Attributes: TypeAlias = dict[str, list[str]]
"""Values by the name of the attribute, in lower case, in the order of the object."""

RpslObject: TypeAlias = tuple[str, int, Attributes]
"""The class of an object, its first line, what is kept of it."""

_ROUTE = frozenset({"origin", "source", "mnt-by"})
_POLICY = frozenset({"import", "export", "mp-import", "mp-export", "admin-c", "tech-c"})

ROUTES_AND_AUTNUMS: Mapping[str, Set[str]] = {
    "route": _ROUTE,
    "route6": _ROUTE,
    "aut-num": _POLICY | {"as-name"},
}
"""What is read of a dump unless told: the classes, and the attributes of each."""

_COMMENT = frozenset({b"%", b"#"})
_MARKS = _COMMENT | {b" ", b"\t", b"+"}
"""What a line begins with that goes on with the one before, or is a comment."""
_NOTHING = [""]

NOBODY = frozenset(
    {"", "-", "n/a", "nil", "no contact", "none", "not applicable", "not available", "unknown"}
)
"""What stands in admin-c and tech-c of registries that take any text there, and names nobody."""
_BLANK = re.compile(rb"\n[ \t\r]*\n")
_CLASS = re.compile(rb"(?:[ \t\r]*\n|[%#][^\n]*\n)*([A-Za-z0-9-]+)[ \t]*:")


class AutNum(msgspec.Struct, frozen=True):
    """What an aut-num says of its AS: whether it states a policy, and whom to ask.

    >>> AutNum(64496, "EXAMPLE", imports=1, exports=1, contacts=("AA1-TEST",)).states_policy
    True
    """

    asn: int
    name: str
    imports: int
    exports: int
    contacts: tuple[str, ...]

    @classmethod
    def of(cls, asn: int, attributes: Attributes) -> Self:
        """From the attributes of the object; a contact that is one of NOBODY is none.

        >>> AutNum.of(64496, {"import": ["from AS1 accept ANY"], "tech-c": ["Not available"]}).contacts
        ()
        """
        count = {name: len(attributes.get(name, ())) for name in _POLICY}
        named = [*attributes.get("admin-c", ()), *attributes.get("tech-c", ())]
        return cls(
            asn,
            attributes.get("as-name", _NOTHING)[0],
            count["import"] + count["mp-import"],
            count["export"] + count["mp-export"],
            tuple(dict.fromkeys(name for name in named if name.strip(" .").lower() not in NOBODY)),
        )

    @property
    def states_policy(self) -> bool:
        """At least one import and one export, what the MANRS metric M6 asks for."""
        return self.imports > 0 and self.exports > 0


class RouteObjects(NamedTuple):
    """Route objects of one family in the order of their files; ``routes`` is a RouteBatch.

    ``sources`` and ``maintainers`` number ``texts``, which are in upper case; "": not stated.
    """

    routes: RouteBatch
    sources: npt.NDArray[np.uint32]
    maintainers: npt.NDArray[np.uint32]
    texts: list[str]


class _Rows:
    """The columns of RouteObjects while they grow."""

    def __init__(self) -> None:
        self.addresses, self.lengths = array("Q"), array("B")
        self.origins, self.sources, self.maintainers = array("I"), array("I"), array("I")

    def columns(self, family: Family, texts: list[str]) -> RouteObjects:
        """As they are in the end."""
        addresses: Any = np.array(self.addresses, np.uint64)
        addresses = addresses.astype(np.uint32) if family == 4 else addresses.reshape(-1, 2)
        routes = RouteBatch(
            family, addresses, np.array(self.lengths, np.uint8), np.array(self.origins, np.uint32)
        )
        sources, maintainers = np.array(self.sources, np.uint32), np.array(self.maintainers, np.uint32)
        return RouteObjects(routes, sources, maintainers, texts)


class Irr:
    """Route objects as columns, and as indexes that answer as for VRPs; aut-nums by AS number.

    ``ipv4`` and ``ipv6`` are the RouteObjects. ``exact`` finds valid what has a route object of its own,
    ``covering`` also what lies under one of its origin; invalid: only objects of other origins are over it.
    ``routes`` and ``skipped`` count route objects and bad objects, ``first_skipped`` names the first bad one,
    "" if there is none.

    >>> Irr.of([]).routes
    0
    """

    def __init__(self) -> None:
        self.autnums: dict[int, AutNum] = {}
        self.skipped = 0
        self.first_skipped = ""
        self.routes = 0
        self._rows = {4: _Rows(), 6: _Rows()}
        self._texts: dict[str, int] = {}

    @classmethod
    def of(cls, objects: Iterable[RpslObject]) -> Irr:
        """From objects as ``objects_of`` gives them.

        >>> route = ("192.0.2.0/24", 1, {"route": ["192.0.2.0/24"], "origin": ["AS64496"]})
        >>> Irr.of([("route", *route[1:])]).exact.validate("192.0.2.0/24", 64496).label
        'valid'
        """
        found = cls()
        for kind, line, attributes in objects:
            found._take(kind, line, attributes)
        found._finish()
        return found

    def _take(self, kind: str, line: int, attributes: dict[str, list[str]]) -> None:
        if kind == "aut-num":
            self._take_autnum(attributes)
            return
        try:
            family, address, length = parse(attributes[kind][0])
            origin = asn_of(attributes.get("origin", _NOTHING)[0].partition(" ")[0])
            if origin is None or (family == 6) != (kind == "route6"):
                raise PrefixError("no origin, or a prefix of the other family")
        except PrefixError as error:
            self.skipped += 1
            self.first_skipped = self.first_skipped or f"line {line}: {kind}: {error}"
            return
        rows = self._rows[family]
        if family == 6:
            rows.addresses.append(address >> 64)
        rows.addresses.append(address & (1 << 64) - 1)
        rows.lengths.append(length)
        rows.origins.append(origin)
        rows.sources.append(self._number(attributes.get("source", _NOTHING)[0]))
        rows.maintainers.append(self._number(", ".join(attributes.get("mnt-by", _NOTHING))))
        self.routes += 1

    def _number(self, text: str) -> int:
        """The number of a source or maintainers in upper case, which many objects share."""
        text = text.upper()
        return self._texts.setdefault(text[:LONGEST_TEXT], len(self._texts))

    def _take_autnum(self, attributes: dict[str, list[str]]) -> None:
        asn = asn_of(attributes["aut-num"][0])
        if asn is None:
            self.skipped += 1
            return
        self.autnums[asn] = AutNum.of(asn, attributes)

    def _finish(self) -> None:
        texts = list(self._texts)
        self.ipv4 = self._rows[4].columns(4, texts)
        self.ipv6 = self._rows[6].columns(6, texts)
        self._rows, self._texts = {}, {}
        self.exact = VrpIndex(self._snapshot(longer=False))
        self.covering = VrpIndex(self._snapshot(longer=True))

    def _snapshot(self, *, longer: bool) -> Snapshot:
        four, six = self.ipv4.routes, self.ipv6.routes
        most = np.full(len(four), IPV4_BITS) if longer else four.lengths
        ipv4 = VrpColumns.ipv4(four.addresses, four.lengths, most, four.origins)
        most = np.full(len(six), IPV6_BITS) if longer else six.lengths
        ipv6 = VrpColumns.ipv6(six.addresses, six.lengths, most, six.origins)
        return Snapshot.build(ipv4, ipv6)


def read_irr(paths: Iterable[str | os.PathLike[str]]) -> Irr:
    """The route, route6 and aut-num objects of one dump or more; those of all sources count alike.

    A dump may be of any length: it is read in pieces, and what stays in memory are some 25 octets a route
    object. ReferenceFileError: a file cannot be read, has none of these objects, or more than can be.
    ArgumentError: no names.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("route: 192.0.2.0/24\\norigin: AS64496\\nsource: TEST", file=file, flush=True)
    ...     read_irr([file.name]).routes
    1
    """
    return Irr.of(found for name in as_paths(paths) for found in read_objects(name))


def read_objects(name: str, kept: Mapping[str, Set[str]] = ROUTES_AND_AUTNUMS) -> Iterator[RpslObject]:
    """The objects of a dump of any length, plain or packed, as ``objects_of`` gives them.

    ReferenceFileError: it cannot be read, has none of these classes, or more objects than can be.

    >>> next(read_objects("/nonexistent"))
    Traceback (most recent call last):
    rov.errors.ReferenceFileError: /nonexistent: cannot be read: No such file or directory
    """
    count = 0
    for found in objects_of(octets_in_pieces(name), name, kept):
        count += 1
        if count > MAX_OBJECTS:
            raise ReferenceFileError(name, f"more than {MAX_OBJECTS:,} objects", found[1])
        yield found
    if not count:
        *most, last = kept
        classes = f"{', '.join(most)} or {last}" if most else last
        raise ReferenceFileError(name, f"expected an IRR dump, found no {classes} object")


def objects_of(
    pieces: Iterable[bytes], name: str, kept: Mapping[str, Set[str]] = ROUTES_AND_AUTNUMS
) -> Iterator[RpslObject]:
    """Each object of the classes in ``kept``: its class, its first line, the values of what is kept of it.

    The pieces may end anywhere. ReferenceFileError: an object is longer than can be.

    >>> [*objects_of([b"route: ::/0 # x\\nori", b"gin: AS1\\n\\nperson: P"], "x")]
    [('route', 1, {'route': ['::/0'], 'origin': ['AS1']})]
    """
    line = 1
    names: dict[bytes, str] = {}
    for text in _paragraphs(pieces, name):
        begin = _CLASS.match(text)
        kind = begin.group(1).lower().decode() if begin else ""
        if begin and kind in kept:
            first = line + text.count(b"\n", 0, begin.start(1))
            lines = text[begin.start(1) :].split(b"\n")
            if len(lines) > MAX_ATTRIBUTES:
                raise ReferenceFileError(name, f"an object of more than {MAX_ATTRIBUTES:,} lines", first)
            yield kind, first, _attributes(lines, kept[kind] | {kind}, names)
        line += text.count(b"\n")


def _paragraphs(pieces: Iterable[bytes], name: str) -> Iterator[bytes]:
    """What stands between blank lines, with the lines that end it."""
    rest = b""
    for piece in pieces:
        text, begin = rest + piece, 0
        for blank in _BLANK.finditer(text):
            yield text[begin : blank.end()]
            begin = blank.end()
        rest = text[begin:]
        if len(rest) > MAX_OBJECT_BYTES:
            raise ReferenceFileError(name, f"an object of more than {MAX_OBJECT_BYTES:,} octets")
    yield rest


def _attributes(lines: list[bytes], wanted: Set[str], names: dict[bytes, str]) -> Attributes:
    """The wanted values of an object; names: those of attributes by how they were written before."""
    found: Attributes = {}
    last = ""
    for line in lines:
        if line[:1] in _MARKS:
            if last and line[:1] not in _COMMENT and (value := _value(line[1:])):
                found[last][-1] = f"{found[last][-1]} {value}".strip()
            continue
        key, _, value_octets = line.partition(b":")
        known = names.get(key)
        if known is None:
            known = key.strip().lower().decode("latin-1")
            if len(names) < MAX_NAMES:
                names[key] = known
        last = known if known in wanted else ""
        if last:
            found.setdefault(last, []).append(_value(value_octets))
    return found


def _value(octets: bytes) -> str:
    """A value without its comment."""
    return octets.partition(b"#")[0].decode("utf-8", "replace").strip()
