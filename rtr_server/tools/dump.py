"""The mirror client: one full synchronization with a cache, written as a VRP file.

Runs the router's end of the protocol over a blocking socket, with one deadline for everything.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterable, Iterator
from typing import TextIO

import msgspec

from rov import Snapshot
from rtr_server.cache.mirror import Mirror, SnapshotReceived
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.client import RouterSession
from rtr_server.protocol.errors import ErrorCode, code_label
from rtr_server.protocol.events import Closed, ErrorReceived, ErrorSent
from rtr_server.protocol.pdu import VERSIONS

RECEIVE_OCTETS = 1 << 20

LINES_PER_WRITE = 10_000
"""Rows joined before they are written: a row at a time costs more than making it."""

TRUST_ANCHOR = "rtr"
"""RTR does not say which trust anchor a VRP comes from."""


class DumpError(Exception):
    """No full set was had from the cache; the message says why."""


class Dump(msgspec.Struct, frozen=True):
    """A set with what the protocol said about it.

    >>> Dump(Snapshot.empty(), version=1, session_id=7, serial=1, octets=32, seconds=0.1).serial
    1
    """

    snapshot: Snapshot
    version: int
    session_id: int
    serial: int
    octets: int
    seconds: float


def fetch(endpoint: Endpoint, *, version: int | None = None, timeout: float = 60.0) -> Dump:
    """Get the full set of a cache, in exactly ``version`` or in the highest one that it speaks.

    ``timeout`` in seconds for everything; a cache without data is waited for. DumpError if that fails.
    """
    began = time.monotonic()
    until = began + timeout
    highest: int | None = VERSIONS[-1] if version is None else version
    while highest is not None:
        session = RouterSession(
            version=highest, min_version=VERSIONS[0] if version is None else version, now=time.monotonic()
        )
        received = _synchronize(endpoint, Mirror(session), until)
        if received is not None:
            seconds = time.monotonic() - began
            ids = (session.version, received.session_id, received.serial)
            return Dump(received.snapshot, *ids, session.octets_in, seconds)
        highest = session.retry_version
    raise DumpError(f"{endpoint}: closed the connection before any answer")


def _synchronize(endpoint: Endpoint, mirror: Mirror, until: float) -> SnapshotReceived | None:
    """One connection to the end of the first response; None if a lower version should be tried."""
    try:
        with socket.create_connection(endpoint, timeout=_left(until)) as connection:
            return _converse(connection, mirror, until)
    except TimeoutError:
        raise DumpError(f"{endpoint}: no full set within the timeout") from None
    except DumpError as error:
        raise DumpError(f"{endpoint}: {error}") from None
    except OSError as error:
        raise DumpError(f"{endpoint}: {error.strerror or error}") from error


def _converse(connection: socket.socket, mirror: Mirror, until: float) -> SnapshotReceived | None:
    session = mirror.session
    while True:
        output = session.data_to_send()
        if output:
            connection.sendall(output)
        received = _first_set(mirror)
        if received is not None:
            return received
        if session.closing:
            return None
        connection.settimeout(_left(until))
        octets = receive(connection)
        if octets:
            mirror.receive_data(octets, time.monotonic())
        else:
            session.receive_eof(time.monotonic())


def receive(connection: socket.socket) -> bytes:
    """Octets, or none at the end of file; a reset is the end too: some caches close on version 2 so."""
    try:
        return connection.recv(RECEIVE_OCTETS)
    except ConnectionResetError:
        return b""


def _first_set(mirror: Mirror) -> SnapshotReceived | None:
    """The set, if it is there; DumpError at an event that means it will not come."""
    for happened in mirror.events():
        match happened:
            case SnapshotReceived():
                return happened
            case ErrorReceived(_, code, text) if code != ErrorCode.NO_DATA_AVAILABLE:
                if mirror.session.closing:
                    raise DumpError(f"error {code} ({code_label(code)}) from the cache: {text}")
            case ErrorSent(_, code, text):
                raise DumpError(f"the cache broke the protocol ({code_label(code)}): {text}")
            case Closed(reason) if mirror.session.retry_version is None:
                raise DumpError(f"connection ended before the full set: {reason}")
    return None


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


# Formats


def write_csv(snapshot: Snapshot, out: TextIO) -> None:
    """The VRPs as Routinator writes them: ASN, IP Prefix, Max Length, Trust Anchor.

    >>> import sys
    >>> write_csv(Snapshot.empty(), sys.stdout)
    ASN,IP Prefix,Max Length,Trust Anchor
    """
    out.write("ASN,IP Prefix,Max Length,Trust Anchor\n")
    rows = (f"AS{vrp.asn},{vrp.prefix},{vrp.max_length},{TRUST_ANCHOR}\n" for vrp in snapshot.vrps())
    _write(rows, out)


def write_json(dump: Dump, out: TextIO) -> None:
    """VRPs, ASPAs and router keys in the shape of rpki-client's JSON, without times of expiry."""
    snapshot = dump.snapshot
    metadata = {
        "vrps": len(snapshot),
        "aspas": len(snapshot.aspas),
        "bgpsec_pubkeys": len(snapshot.router_keys),
        "rtr_version": dump.version,
        "rtr_session_id": dump.session_id,
        "rtr_serial": dump.serial,
    }
    out.write(f'{{\n"metadata": {json.dumps(metadata)},\n"roas": [')
    _write(_separated(_roas(snapshot)), out)
    out.write('\n],\n"bgpsec_keys": [')
    _write(_separated(_router_keys(snapshot)), out)
    out.write('\n],\n"aspas": [')
    _write(_separated(_aspas(snapshot)), out)
    out.write("\n]\n}\n")


def _roas(snapshot: Snapshot) -> Iterator[str]:
    for vrp in snapshot.vrps():
        where = f'"prefix": "{vrp.prefix}", "maxLength": {vrp.max_length}'
        yield f'{{"asn": {vrp.asn}, {where}, "ta": "{TRUST_ANCHOR}"}}'


def _router_keys(snapshot: Snapshot) -> Iterator[str]:
    for key in snapshot.router_keys:
        pubkey = base64.b64encode(key.spki).decode()
        shown = {"asn": key.asn, "ski": key.ski.hex().upper(), "pubkey": pubkey, "ta": TRUST_ANCHOR}
        yield json.dumps(shown)


def _aspas(snapshot: Snapshot) -> Iterator[str]:
    for aspa in snapshot.aspas:
        yield json.dumps({"customer_asid": aspa.customer, "providers": list(aspa.providers)})


def _separated(rows: Iterable[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield f",\n{row}" if number else f"\n{row}"


def _write(rows: Iterable[str], out: TextIO) -> None:
    """Rows in large pieces."""
    pieces: list[str] = []
    for row in rows:
        pieces.append(row)
        if len(pieces) == LINES_PER_WRITE:
            out.write("".join(pieces))
            pieces.clear()
    out.write("".join(pieces))
