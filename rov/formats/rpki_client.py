"""A Snapshot as the JSON that rpki-client writes."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rov._prefix import format_ipv4, format_ipv6
from rov.columns import NO_EXPIRY, VrpColumns
from rov.snapshot import Snapshot

ROWS_PER_CHUNK = 10_000
"""Rows encoded between two writes: about 1 MB, so that a whole set never stands in memory as text."""


def encode(snapshot: Snapshot, metadata: Mapping[str, Any]) -> Iterator[bytes]:
    """The file in pieces: one row a line; ``expires`` where a row has one, ``ta`` where it has a name.

    >>> text = b"".join(encode(Snapshot.empty(), {"buildmachine": "example"}))
    >>> msgspec.json.decode(text)["metadata"]
    {'buildmachine': 'example'}
    """
    yield b'{\n"metadata": ' + msgspec.json.format(msgspec.json.encode(metadata), indent=2)
    yield b',\n"roas": ['
    yield from _joined(_vrps(snapshot))
    yield b'\n],\n"bgpsec_keys": ['
    yield from _joined(_router_keys(snapshot))
    yield b'\n],\n"aspas": ['
    yield from _joined(_aspas(snapshot))
    yield b"\n]\n}\n"


def _joined(rows: Iterator[str]) -> Iterator[bytes]:
    """Rows with commas between them, many at a time."""
    lead = "\n"
    part: list[str] = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS_PER_CHUNK:
            yield (lead + ",\n".join(part)).encode()
            lead, part = ",\n", []
    if part:
        yield (lead + ",\n".join(part)).encode()


def _text(value: str) -> str:
    return msgspec.json.encode(value).decode()


def _until(expires: int) -> str:
    return f', "expires": {expires}' if expires != NO_EXPIRY else ""


def _vrps(snapshot: Snapshot) -> Iterator[str]:
    tas = [f', "ta": {_text(name)}' if name else "" for name in snapshot.trust_anchors]
    for columns in (snapshot.ipv4, snapshot.ipv6):
        for first in range(0, len(columns), ROWS_PER_CHUNK):
            yield from _rows(columns, slice(first, first + ROWS_PER_CHUNK), tas)


def _rows(columns: VrpColumns, part: slice, tas: list[str]) -> Iterator[str]:
    write = format_ipv4 if columns.family == 4 else format_ipv6
    prefixes = write(columns.address[part], columns.length[part])
    numbers = (columns.asn, columns.max_length, columns.ta, columns.expires)
    rows = zip(prefixes, *(column[part].tolist() for column in numbers), strict=True)
    for prefix, asn, max_length, ta, expires in rows:
        yield f'{{"asn": {asn}, "prefix": "{prefix}", "maxLength": {max_length}{tas[ta]}{_until(expires)}}}'


def _router_keys(snapshot: Snapshot) -> Iterator[str]:
    for key, expires in zip(snapshot.router_keys, snapshot.router_key_expires.tolist(), strict=True):
        pubkey = base64.b64encode(key.spki).decode()
        ski = key.ski.hex().upper()
        yield f'{{"asn": {key.asn}, "ski": "{ski}", "pubkey": "{pubkey}"{_until(expires)}}}'


def _aspas(snapshot: Snapshot) -> Iterator[str]:
    for aspa, expires in zip(snapshot.aspas, snapshot.aspa_expires.tolist(), strict=True):
        yield f'{{"customer_asid": {aspa.customer}{_until(expires)}, "providers": {[*aspa.providers]}}}'
