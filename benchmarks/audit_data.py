"""What the benchmark of audits asks about: the full table smaller and larger, a dump of it with paths, IRRs.

A table of any size has the real table's shares of valid, invalid and not-found routes in each family. A
smaller one is a sample. A larger one has more routes that the real VRPs judge so: more-specifics that VRPs
allow by their maxLength, more-specifics of real routes, and real prefixes from other real origins; each
candidate is judged, and of each state as many are drawn as are missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import rov
from rov.reference.contacts import Contacts
from rov.reference.rpsl import Irr
from rov.rib import RouteColumns, RouteTable

SEED = 1

MOST_BITS = {4: 8, 6: 12}
"""How much longer than a VRP the routes are that it allows: /16 to /24, and what sites have of IPv6."""

LONGER = (1, 2, 3, 4)
"""Bits by which more-specifics of real routes are longer."""

PEERS = 20
"""Peers of the dump, ASes with many routes; two of them carry each route."""

CUSTOMERS = 3
"""The first peers are customers: each has one of a hundred routes."""

TRANSITS = 200

SHARE_REGISTERED = 0.8
"""Routes that have a route object."""

Keys = np.ndarray[Any, Any]
"""Rows of high word, low word, length, origin, as uint64 [n, 4]; IPv4 addresses are low words."""


def keys_of(family: int, addresses: Any, lengths: Any, origins: Any) -> Keys:
    """Columns as rows that can be compared."""
    wide = addresses.astype(np.uint64)
    high, low = (np.zeros(len(wide), np.uint64), wide) if family == 4 else (wide[:, 0], wide[:, 1])
    return np.stack([high, low, lengths.astype(np.uint64), origins.astype(np.uint64)], axis=1)


def columns_of(family: rov.types.Family, keys: Keys) -> RouteColumns:
    """Sorted columns without doubles, each route carried by one peer."""
    order = np.lexsort((keys[:, 3], keys[:, 2], keys[:, 1], keys[:, 0]))
    keys = keys[order]
    new = np.ones(len(keys), np.bool_)
    new[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    keys = keys[new]
    addresses = keys[:, 1].astype(np.uint32) if family == 4 else keys[:, :2]
    lengths, origins = keys[:, 2].astype(np.uint8), keys[:, 3].astype(np.uint32)
    return RouteColumns(family, addresses, lengths, origins, np.ones(len(keys), np.uint32))


def longer(family: int, keys: Keys, bits: int) -> Keys:
    """All more-specifics that are so many bits longer, where there are any."""
    total = 32 if family == 4 else 64
    keys = keys[keys[:, 2] + np.uint64(bits) <= np.uint64(total)]
    word = 1 if family == 4 else 0
    found = np.repeat(keys, 1 << bits, axis=0)
    number = np.tile(np.arange(1 << bits, dtype=np.uint64), len(keys))
    found[:, 2] += np.uint64(bits)
    found[:, word] |= number << (np.uint64(total) - found[:, 2])
    return found


def candidates(family: int, routes: Keys, vrps: Any, wanted: int) -> Iterator[Keys]:
    """Routes that could be announced, some of each state, until more than wanted were given of each kind."""
    random = np.random.default_rng(SEED)
    allowed = keys_of(family, vrps.address, vrps.length, vrps.asn)[vrps.asn != 0]
    room = (vrps.max_length - vrps.length)[vrps.asn != 0]
    for kind in (0, 1, 2):
        given = 0
        for bits in range(1, MOST_BITS[family] + 1) if kind == 0 else LONGER:
            if kind == 0:
                found = longer(family, allowed[room >= bits], bits)
            elif kind == 1:
                found = longer(family, routes, bits)
            else:
                found = routes.copy()
                found[:, 3] = random.permutation(routes[:, 3])
            yield found
            given += len(found)
            if given > 2 * wanted:
                break


def grown(table: RouteTable, index: rov.VrpIndex, size: int) -> RouteTable:
    """A table of about so many routes with the shares of each state that this one has."""
    parts = [
        _grown(columns, index, round(size * len(columns) / len(table)))
        for columns in (table.ipv4, table.ipv6)
    ]
    return RouteTable(*parts)


def _grown(columns: RouteColumns, index: rov.VrpIndex, size: int) -> RouteColumns:
    random = np.random.default_rng(SEED)
    if size <= len(columns):
        return columns.take(np.sort(random.choice(len(columns), size, replace=False)))
    family, missing = columns.family, size - len(columns)
    own = keys_of(family, columns.addresses, columns.lengths, columns.origins)
    states = index.validate_batch(columns.routes)
    shares = np.bincount(states, minlength=3) / len(columns)
    vrps = index.snapshot.ipv4 if family == 4 else index.snapshot.ipv6
    pools: list[list[Keys]] = [[], [], []]
    for keys in candidates(family, own, vrps, missing):
        judged = index.validate_batch(_batch(family, keys))
        for state, share in enumerate(shares):
            rows = np.flatnonzero(judged == state)
            most = round(2 * missing * share)
            pools[state].append(keys[rows[random.permutation(len(rows))[:most]]])
    found = [own]
    for pool, share in zip(pools, shares, strict=True):
        keys = np.concatenate(pool)
        found.append(keys[random.permutation(len(keys))[: round(missing * share)]])
    return columns_of(family, np.concatenate(found))


def _batch(family: int, keys: Keys) -> rov.RouteBatch:
    make = rov.RouteBatch.ipv4 if family == 4 else rov.RouteBatch.ipv6
    addresses = keys[:, 1].astype(np.uint32) if family == 4 else np.ascontiguousarray(keys[:, :2])
    return make(addresses, keys[:, 2].astype(np.uint8), keys[:, 3].astype(np.uint32))


def busiest(table: RouteTable, count: int) -> list[int]:
    """The origins of most routes."""
    origins, routes = np.unique(np.concatenate([table.ipv4.origins, table.ipv6.origins]), return_counts=True)
    order = np.argsort(-routes, kind="stable")
    return [asn for asn in origins[order].tolist() if asn][:count]


def write_dump(table: RouteTable, path: Path, time: int = 1_750_000_000) -> None:
    """TABLE_DUMP_V2 (RFC 6396 §4.3): each route by two peers, paths of peer, transit and origin."""
    top = np.array(busiest(table, TRANSITS), np.uint32)
    with path.open("wb") as file:
        peers = b"".join(
            struct.pack(">B4s4sI", 2, bytes(4), bytes([192, 0, 2, n + 1]), int(top[n])) for n in range(PEERS)
        )
        body = struct.pack(">4sHH", bytes(4), 0, PEERS) + peers
        file.write(struct.pack(">IHHI", time, 13, 1, len(body)) + body)
        for columns in (table.ipv4, table.ipv6):
            octets = (columns.lengths.astype(np.int64) + 7) // 8
            for size in np.unique(octets).tolist():
                file.write(_records(columns.take(octets == size), size, top, time))


def _records(columns: RouteColumns, size: int, top: Any, time: int) -> bytes:
    """Records of prefixes of so many octets, which are of one length."""
    entry = np.dtype([("peer", ">u2"), ("time", ">u4"), ("octets", ">u2"), ("origin", "u1", 4),
                      ("head", "u1", 5), ("path", ">u4", 3), ("next_hop", "u1", 7)])  # fmt: skip
    record = np.dtype([("time", ">u4"), ("type", ">u2"), ("subtype", ">u2"), ("size", ">u4"),
                       ("number", ">u4"), ("length", "u1"), ("prefix", "u1", size), ("count", ">u2"),
                       ("entries", entry, 2)])  # fmt: skip
    rows = np.zeros(len(columns), record)
    rows["time"], rows["type"], rows["subtype"] = time, 13, 2 if columns.family == 4 else 4
    rows["size"], rows["length"], rows["count"] = record.itemsize - 12, columns.lengths, 2
    width = 4 if columns.family == 4 else 16
    addresses = columns.addresses.astype(">u4" if width == 4 else ">u8", order="C").view(np.uint8)
    rows["prefix"] = addresses.reshape(-1, width)[:, :size]
    for at in range(2):
        part = rows["entries"][:, at]
        spread = columns.origins * np.uint32(2654435761) >> np.uint32(8)
        peer = (spread + np.uint32(at * 7)) % np.uint32(PEERS - CUSTOMERS) + np.uint32(CUSTOMERS)
        if at:
            peer = np.where(spread % np.uint32(100) < CUSTOMERS, spread % np.uint32(100), peer)
        part["peer"], part["time"], part["octets"] = peer, time, 4 + 5 + 12 + 7
        part["origin"] = np.frombuffer(bytes.fromhex("40010100"), np.uint8)
        part["head"] = np.frombuffer(bytes.fromhex("40020e0203"), np.uint8)
        part["next_hop"] = np.frombuffer(bytes.fromhex("400304c0000201"), np.uint8)
        part["path"][:, 0] = top[peer]
        part["path"][:, 1] = top[columns.origins % np.uint32(len(top))]
        part["path"][:, 2] = columns.origins
    return rows.tobytes()


def changed(table: RouteTable, share: float = 0.01) -> RouteTable:
    """The table at another time: of so many routes another origin."""
    random = np.random.default_rng(SEED)
    parts = []
    for columns in (table.ipv4, table.ipv6):
        keys = keys_of(columns.family, columns.addresses, columns.lengths, columns.origins)
        rows = random.random(len(keys)) < share
        keys[rows, 3] = random.permutation(keys[:, 3])[rows]
        parts.append(columns_of(columns.family, keys))
    return RouteTable(*parts)


def route_objects(texts: list[str], origins: list[int | None]) -> Irr:
    """Objects for most routes, every tenth of another origin."""
    random = np.random.default_rng(SEED)
    chosen = random.random(len(texts))

    def objects() -> Iterator[tuple[str, int, dict[str, list[str]]]]:
        for row, (text, origin) in enumerate(zip(texts, origins, strict=True)):
            if chosen[row] < SHARE_REGISTERED and origin:
                kind = "route6" if ":" in text else "route"
                asn = f"AS{origin if row % 10 else origins[row - 1] or origin}"
                yield kind, row, {kind: [text], "origin": [asn], "source": ["TEST"], "mnt-by": ["M"]}

    return Irr.of(objects())


def contacts_of(asns: list[int]) -> Contacts:
    """An aut-num and a person for each AS."""
    known = Contacts()
    for asn in asns:
        known.take([
            ("aut-num", 1, {"aut-num": [f"AS{asn}"], "as-name": [f"N{asn}"], "tech-c": [f"P{asn}"],
                            "import": ["x"], "export": ["x"]}),
            ("person", 2, {"person": ["P"], "nic-hdl": [f"P{asn}"], "e-mail": [f"noc@as{asn}.example"],
                           "last-modified": ["2025-01-01T00:00:00Z"]}),
        ])  # fmt: skip
    return known
