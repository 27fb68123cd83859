"""Routes as the looking glasses of route servers give them: JSON of Alice-LG and of Bird's Eye.

A document has ``imported`` (Alice-LG: the routes of a neighbour that the route server took) or ``routes``
(Bird's Eye, birdwatcher); ``neighbors`` and ``protocols`` name the sessions by the ids that routes refer to.
A file may have several documents one after the other, or in an array: what one neighbour has is one answer.
Routes that were filtered are left out: nobody gets them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from rov._mrt_peers import Peers
from rov._prefix import parse
from rov._rows import asn_of
from rov.errors import PrefixError, RibFileError
from rov.rib.columns import Columns, Families, Flag
from rov.rib.table import RibCounts
from rov.types import IPV4_BITS

MAX_JSON_BYTES = 512 << 20
"""Octets of a file: a million routes, three times those of the largest route servers in 2026."""

MAX_PATH = 4096
"""ASes of a path that are taken: the longest real ones, with prepending, have some hundreds."""

FAULTS_NAMED = 10
"""Bad routes that are told one by one."""

ROUTES_AT_ONCE = 1 << 16
"""Routes of a batch."""

_NAMES = re.compile(rb'"(?:imported|routes|neighbou?rs|protocols)"\s*:')
_TOKEN = re.compile(r"\{[^}]*\}|\([^)]*\)|\[[^\]]*\]|[^\s{(\[]+")
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Bgp(msgspec.Struct):
    as_path: list[int | str] | str | None = None
    communities: list[Any] | None = None
    large_communities: list[Any] | None = None
    next_hop: str | None = None


class _Route(msgspec.Struct):
    network: str
    bgp: _Bgp
    neighbor_id: str | None = None
    neighbour_id: str | None = None
    from_protocol: str | None = None
    learnt_from: str | None = None
    gateway: str | None = None

    def session(self) -> str:
        """The id of the session that it came over, "" if it has none."""
        return self.neighbor_id or self.neighbour_id or self.from_protocol or ""

    def address(self) -> str:
        """The address that it came from, as far as the route tells."""
        return self.learnt_from or self.gateway or self.bgp.next_hop or ""


class _Neighbor(msgspec.Struct):
    id: str = ""
    address: str = ""
    asn: int | str | None = None


class _Protocol(msgspec.Struct):
    neighbor_address: str = ""
    neighbor_as: int | str | None = None


class _Pagination(msgspec.Struct):
    page: int = 0
    total_pages: int = 1


class _Document(msgspec.Struct):
    imported: list[msgspec.Raw] | None = None
    routes: list[msgspec.Raw] | None = None
    neighbors: list[_Neighbor] | None = None
    neighbours: list[_Neighbor] | None = None
    protocols: dict[str, _Protocol] | None = None
    pagination: _Pagination | None = None

    def all_routes(self) -> list[msgspec.Raw]:
        """Those that it has, of either looking glass."""
        return [*(self.imported or ()), *(self.routes or ())]


def is_looking_glass(head: bytes) -> bool:
    """Whether data begin as JSON of a looking glass.

    >>> is_looking_glass(b'{"api": {}, "imported": [')
    True
    """
    return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[") and _NAMES.search(head) is not None


class _Row(NamedTuple):
    """A route as numbers; address an int, origin 0: none."""

    address: int
    length: int
    origin: int
    peer: int
    flags: int
    path: list[int]
    communities: list[int]
    large: list[int]


class LookingGlassReader:
    """Reads the routes of one file; the peers are the sessions of the route server.

    >>> route = b'{"network": "192.0.2.0/24", "gateway": "198.51.100.1", "bgp": {"as_path": [64496]}}'
    >>> reader = LookingGlassReader("x", Peers())
    >>> [len(ipv4.lengths) for ipv4, _ in reader.rows(iter([b'{"imported": [', route, b"]}"]))]
    [1]
    """

    tells_peers = True

    def __init__(self, name: str, peers: Peers) -> None:
        self.name = name
        self.format = "looking glass"
        self._peers = peers
        self._numbers: dict[tuple[str, int], int] = {}
        self._sessions: dict[str, tuple[str, int]] = {}
        self._decoder = msgspec.json.Decoder(_Route)
        self._faults: list[str] = []
        self._pages: dict[str, tuple[set[int], int]] = {}
        self._bad = 0
        self._seen = RibCounts()
        self._taken: tuple[bytes, ...] = (b"",) * 6

    def rows(self, pieces: Iterator[bytes]) -> Iterator[Families]:
        """The rows of both families, some thousand at a time; RibFileError: no JSON of a looking glass."""
        documents = self._documents(_joined(self.name, pieces))
        for document in documents:
            self._take_sessions(document)
        if not any(document.imported is not None or document.routes is not None for document in documents):
            raise RibFileError(self.name, "expected routes of Alice-LG or Bird's Eye, found no list of them")
        number = 0
        for document in documents:
            routes = document.all_routes()
            for at in range(0, len(routes), ROUTES_AT_ONCE):
                yield self._families(routes[at : at + ROUTES_AT_ONCE], number + at, document.pagination)
            number += len(routes)
        if self._bad and self._bad >= number - self._bad:
            raise RibFileError(self.name, f"most routes are bad, the first: {self._faults[0]}")

    def take_paths(self) -> tuple[bytes, ...]:
        """Paths and communities of the rows given last, as Parser.take_paths gives them."""
        return self._taken

    def warnings(self) -> Iterator[str]:
        """What is to be said of the first bad routes, and of pages that are missing."""
        yield from (f"{self.name}: {fault}" for fault in self._faults)
        for session, (pages, total) in self._pages.items():
            if len(pages) < total:
                yield f"{self.name}: {len(pages)} of the {total} pages of {session or 'the routes'}"

    def counts(self) -> RibCounts:
        """What was seen so far."""
        return self._seen + RibCounts(skipped=self._bad)

    def _documents(self, octets: bytes) -> list[_Document]:
        try:
            return _decoded(octets)
        except _FAULTS as whole:
            try:
                return [document for part in _parts(octets) for document in _decoded(part)]
            except (ValueError, *_FAULTS):
                raise RibFileError(self.name, f"no sound JSON of a looking glass: {whole}") from whole

    def _take_sessions(self, document: _Document) -> None:
        for neighbor in (*(document.neighbors or ()), *(document.neighbours or ())):
            self._sessions[neighbor.id] = neighbor.address, asn_of(neighbor.asn or 0) or 0
        for name, protocol in (document.protocols or {}).items():
            self._sessions[name] = protocol.neighbor_address, asn_of(protocol.neighbor_as or 0) or 0

    def _families(self, routes: list[msgspec.Raw], first: int, page: _Pagination | None) -> Families:
        rows: dict[int, list[_Row]] = {4: [], 6: []}
        session = ""
        for number, raw in enumerate(routes, first + 1):
            try:
                route = self._decoder.decode(raw)
                session = session or route.session()
                family, row = self._row(route)
            except (PrefixError, ValueError, *_FAULTS) as error:
                self._bad += 1
                if len(self._faults) < FAULTS_NAMED:
                    self._faults.append(f"route {number}: {error}")
                continue
            rows[family].append(row)
        if page is not None:
            self._pages.setdefault(session, (set(), page.total_pages))[0].add(page.page)
        self._taken = _attributes([*rows[4], *rows[6]])
        ipv4, ipv6 = _columns(rows[4], 4, 0), _columns(rows[6], 6, len(rows[4]))
        for columns in (ipv4, ipv6):
            self._seen += columns.counts(unknown_peers=True)
        return ipv4, ipv6

    def _row(self, route: _Route) -> tuple[int, _Row]:
        family, address, length = parse(route.network)
        path, origin, flags = _path(route.bgp.as_path)
        communities = [first << 16 | second for first, second in _numbers(route.bgp.communities, 2, 16)]
        large = [number for row in _numbers(route.bgp.large_communities, 3, 32) for number in row]
        peer = self._peer(route, path[0] if path else 0)
        return family, _Row(address, length, origin, peer, flags, path, communities, large)

    def _peer(self, route: _Route, neighbor: int) -> int:
        """The number of the session: by its id where that is known, else by what the route tells."""
        known = self._sessions.get(route.session())
        key = (known[0], known[1] or neighbor) if known else (route.address(), neighbor)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._add(*key)
        return number

    def _add(self, address: str, asn: int) -> int:
        try:
            family, value, _ = parse(f"{address}/{128 if ':' in address else IPV4_BITS}")
        except PrefixError:
            return 0
        if family == 4:
            return self._peers.add(4, value, 0, asn)
        return self._peers.add(6, value >> 64, value & (1 << 64) - 1, asn)


def _joined(name: str, pieces: Iterator[bytes]) -> bytes:
    parts, size = [], 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece)
        if size > MAX_JSON_BYTES:
            raise RibFileError(name, f"longer than {MAX_JSON_BYTES >> 20:,} MiB, the most expected as JSON")
    return b"".join(parts).removeprefix(b"\xef\xbb\xbf")


def _decoded(octets: bytes) -> list[_Document]:
    """The document of a text, or those of an array."""
    if octets.lstrip()[:1] == b"[":
        return msgspec.json.decode(octets, type=list[_Document])
    return [msgspec.json.decode(octets, type=_Document)]


def _parts(octets: bytes) -> Iterator[bytes]:
    """The documents of a text that has one after the other; ValueError where one is unsound."""
    text, at = octets.decode("utf-8").strip(), 0
    decoder = json.JSONDecoder()
    while at < len(text):
        _, end = decoder.raw_decode(text, at)
        yield text[at:end].encode()
        at = end
        while at < len(text) and text[at].isspace():
            at += 1


def _path(given: list[int | str] | str | None) -> tuple[list[int], int, int]:
    """A path as numbers, without the members of sets; its origin, 0: none; its Flags."""
    text = given if isinstance(given, str) else " ".join(map(str, given or ()))
    tokens = _TOKEN.findall(text)
    if len(tokens) > MAX_PATH:
        raise ValueError(f"a path of more than {MAX_PATH:,} ASes")
    sets = [token for token in tokens if token[0] == "{"]
    flags = int(Flag.ANY_SET) if sets else 0
    path = []
    for token in tokens:
        if token[0] not in "{([":
            asn = asn_of(token)
            if asn is None:
                raise ValueError(f"expected AS numbers in as_path, found {token[:40]!r}")
            path.append(asn)
    if tokens and tokens[-1] in sets:
        return path, 0, flags | Flag.AS_SET
    if not tokens or tokens[-1][0] in "([" or not path[-1]:
        return path, 0, flags | Flag.EMPTY_PATH
    return path, path[-1], flags


def _numbers(given: list[Any] | None, count: int, bits: int) -> Iterator[list[int]]:
    """Communities as lists of so many numbers, from lists or texts with colons; others are passed over."""
    for community in given or ():
        fields = community.split(":") if isinstance(community, str) else community
        if isinstance(fields, list) and len(fields) == count:
            texts = [str(field) for field in fields]
            if all(text.isascii() and text.isdigit() and len(text) <= 10 for text in texts):
                numbers = [int(text) for text in texts]
                if max(numbers) < 1 << bits:
                    yield numbers


def _attributes(rows: list[_Row]) -> tuple[bytes, ...]:
    found = []
    for column in (
        [row.path for row in rows],
        [row.communities for row in rows],
        [row.large for row in rows],
    ):
        values = np.array([number for row in column for number in row], np.uint32)
        found += [values.tobytes(), np.cumsum([len(row) for row in column], dtype=np.uint32).tobytes()]
    return tuple(found)


def _columns(rows: list[_Row], family: Any, first: int) -> Columns:
    addresses = [row.address for row in rows]
    if family == 4:
        packed = np.array(addresses, np.uint32).tobytes()
    else:
        halves = [half for address in addresses for half in (address >> 64, address & (1 << 64) - 1)]
        packed = np.array(halves, np.uint64).tobytes()
    none = bytes(4 * len(rows))
    octets = (
        packed,
        np.array([row.length for row in rows], np.uint8).tobytes(),
        np.array([row.origin for row in rows], np.uint32).tobytes(),
        np.array([row.peer for row in rows], np.uint32).tobytes(),
        none,
        none,
        np.array([row.flags for row in rows], np.uint8).tobytes(),
        none,
        np.arange(first, first + len(rows), dtype=np.uint32).tobytes(),
    )
    return Columns.of(family, octets)
