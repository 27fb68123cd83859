"""Mirror: what a router holds, taken from another cache by RTR and kept as a Snapshot.

Joins a RouterSession, which frames, to arrays, which decode and apply: a full set of 700,000 VRPs takes a
fraction of a second. A response becomes visible as a whole at its End of Data, or not at all.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import numpy as np

from rov import Aspa, RouterKey, Snapshot, Vrp
from rtr_server.cache.order import misplaced_object, misplaced_prefix
from rtr_server.cache.wire import PREFIX_PDU, PREFIX_TYPES, Family, PrefixRows, decode_prefixes
from rtr_server.protocol.client import (
    EndOfDataReceived,
    ObjectReceived,
    PrefixesReceived,
    ResponseBegan,
    RouterEvent,
    RouterSession,
)
from rtr_server.protocol.errors import ErrorCode, PduError
from rtr_server.protocol.events import Closed
from rtr_server.protocol.pdu import (
    ASPA_LAYOUT,
    KEY_OCTETS,
    VERSIONS,
    AspaPdu,
    PduType,
    PrefixPdu,
    RouterKeyPdu,
)

MAX_RESPONSE_OCTETS = 512 << 20
"""Payload of one response: thirty times today's full set; a cache that sends more is broken or hostile."""

MAX_OBJECTS = 2_000_000
"""Router keys and ASPAs of one response, which are Python objects."""

MAX_OBJECT_OCTETS = 64 << 20
"""Payload of all of these, 32 octets each. A provider has 4 octets there, and ten times as many in memory."""

MAX_REPLAYED = 2_000_000
"""Prefixes of a response in which one occurs twice, as no usual cache sends it: all become Python objects."""

ORDERED_SINCE = 2
"""The version from which on payload has one order (8210bis §11.2); before it, hardly any cache keeps it."""


class SnapshotReceived(msgspec.Struct, frozen=True):
    """A response is complete and applied: the snapshot that the cache has under serial."""

    snapshot: Snapshot
    session_id: int
    serial: int


MirrorEvent: TypeAlias = RouterEvent | SnapshotReceived


class Mirror:
    """Keeps ``snapshot`` equal to that of a cache. Feed it instead of its session; take its ``events``.

    ``session`` does the talking: send its ``data_to_send``, watch its ``closing`` and ``deadline``. A
    duplicate announcement or unknown withdrawal ends the session with codes 7 and 6 (RFC 8210 §12), payload
    out of order in version 2 with code 11. Begin with ``snapshot`` where the session begins with its session
    id and serial.

    >>> mirror = Mirror(RouterSession(version=1, now=0.0))
    >>> mirror.receive_data(bytes.fromhex("0103000700000008 0107000700000018 00000005"), 1.0)
    >>> mirror.receive_data(bytes.fromhex("00000e10 00000258 00001c20"), 1.0)
    >>> mirror.events()[-1].serial
    5
    """

    def __init__(self, session: RouterSession, snapshot: Snapshot | None = None) -> None:
        self.session = session
        self.snapshot = snapshot
        self._update = Update(Snapshot.empty())
        self._events: list[MirrorEvent] = []

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Octets from the cache; afterwards look at ``events`` and at the session."""
        self.session.receive_data(data, now)
        events = iter(self.session.events())
        try:
            for event in events:
                self._take(event)
        except PduError as error:
            self._events += [event for event in events if isinstance(event, Closed)]
            self.session.fail(error.code, error.text, error.pdu)

    def events(self) -> list[MirrorEvent]:
        """What happened since the last call, without payload, and a SnapshotReceived after each response."""
        self._events += self.session.events()
        events, self._events = self._events, []
        return events

    def _take(self, event: RouterEvent) -> None:
        match event:
            case PrefixesReceived():
                self._update.add_prefixes(4 if event.family == 4 else 6, event.octets)
                return
            case ObjectReceived():
                self._update.add_object(event.pdu)
                return
            case ResponseBegan():
                base = None if event.full else self.snapshot
                self._update = Update(Snapshot.empty() if base is None else base, self.session.version)
        self._events.append(event)
        if isinstance(event, EndOfDataReceived):
            self.snapshot = self._update.finish()
            self._update = Update(Snapshot.empty())
            self._events.append(SnapshotReceived(self.snapshot, event.session_id, event.serial))


class Update:
    """One response on its way: collects payload, then makes the new Snapshot of the old one.

    ``version`` is that of the session, for the PDUs that go into an Error Report.

    >>> Update(Snapshot.empty()).finish() == Snapshot.empty()
    True
    """

    def __init__(self, base: Snapshot, version: int = VERSIONS[-1]) -> None:
        self._base = base
        self._version = version
        self._octets = self._object_octets = 0
        self._last_type = PduType.IPV4_PREFIX
        self._parts: dict[Family, list[bytes]] = {4: [], 6: []}
        self._objects: list[RouterKeyPdu | AspaPdu] = []

    def add_prefixes(self, family: Family, octets: bytes) -> None:
        """A run of whole prefix PDUs; PduError (code 1) if the response gets too large."""
        self._octets += len(octets)
        if self._octets > MAX_RESPONSE_OCTETS:
            raise PduError(ErrorCode.INTERNAL_ERROR, f"response beyond {MAX_RESPONSE_OCTETS} octets")
        self._check_type(PREFIX_TYPES[family], octets[: PREFIX_PDU[family].itemsize])
        self._parts[family].append(octets)

    def add_object(self, pdu: RouterKeyPdu | AspaPdu) -> None:
        """A router key or ASPA; PduError (code 1) if there are too many or they are too large."""
        if len(self._objects) >= MAX_OBJECTS:
            raise PduError(ErrorCode.INTERNAL_ERROR, f"more than {MAX_OBJECTS} router keys and ASPAs")
        self._object_octets += _octets_of(pdu)
        if self._object_octets > MAX_OBJECT_OCTETS:
            text = f"router keys and ASPAs beyond {MAX_OBJECT_OCTETS} octets"
            raise PduError(ErrorCode.INTERNAL_ERROR, text)
        kind = PduType.ROUTER_KEY if isinstance(pdu, RouterKeyPdu) else PduType.ASPA
        self._check_type(kind, pdu)
        self._objects.append(pdu)

    def finish(self) -> Snapshot:
        """The new Snapshot; PduError with code 0, 6, 7 or 11 if a PDU is bad or does not fit the old one."""
        rows4, rows6 = self._rows(4), self._rows(6)
        if self._version >= ORDERED_SINCE and (wrong := misplaced_object(self._objects)) is not None:
            raise _misplaced(self._objects[wrong].encode())
        announced, withdrawn = _picked(rows4, rows6, True), _picked(rows4, rows6, False)
        rows = len(rows4.announce) + len(rows6.announce)
        if len(announced) + len(withdrawn) == rows and not announced & withdrawn:
            found = self._apply(announced, withdrawn)
        elif rows > MAX_REPLAYED:
            text = f"VRPs repeated in a response of {rows} PDUs: expected {MAX_REPLAYED} at most then"
            raise PduError(ErrorCode.INTERNAL_ERROR, text)
        else:
            found = self._replay([*_operations(rows4), *_operations(rows6)])
        return self._apply_objects(found)

    def _check_type(self, kind: PduType, pdu: bytes | RouterKeyPdu | AspaPdu) -> None:
        """Types rise within a response; ``pdu`` is for the Error Report."""
        if self._version >= ORDERED_SINCE and kind < self._last_type:
            raise _misplaced(pdu if isinstance(pdu, bytes) else pdu.encode())
        self._last_type = kind

    def _rows(self, family: Family) -> PrefixRows:
        """The prefixes of one family, decoded and checked."""
        octets = b"".join(self._parts[family])
        rows = decode_prefixes(octets, family)
        if self._version >= ORDERED_SINCE and (wrong := misplaced_prefix(rows)) is not None:
            size = PREFIX_PDU[family].itemsize
            raise _misplaced(octets[wrong * size : (wrong + 1) * size])
        return rows

    def _apply(self, announced: Snapshot, withdrawn: Snapshot) -> Snapshot:
        """Where each VRP occurs once, order does not matter and sets will do."""
        if not self._base and not withdrawn:
            return announced
        for announce, wrong in ((True, announced & self._base), (False, withdrawn - self._base)):
            if len(wrong):
                raise self._vrp_misfit(announce, next(wrong.vrps()))
        return (self._base - withdrawn) | announced

    def _replay(self, operations: list[tuple[bool, Vrp]]) -> Snapshot:
        """Where a VRP occurs twice, it may come and go: one by one, in order."""
        named = Snapshot.from_vrps({vrp for _, vrp in operations})
        before = set((self._base & named).vrps())
        present = set(before)
        for announce, vrp in operations:
            if announce == (vrp in present):
                raise self._vrp_misfit(announce, vrp)
            if announce:
                present.add(vrp)
            else:
                present.remove(vrp)
        gone, come = Snapshot.from_vrps(before - present), Snapshot.from_vrps(present - before)
        return (self._base - gone) | come

    def _vrp_misfit(self, announce: bool, vrp: Vrp) -> PduError:
        return _misfit(announce, str(vrp), PrefixPdu(self._version, announce, vrp).encode())

    def _apply_objects(self, snapshot: Snapshot) -> Snapshot:
        """Router keys and ASPAs one by one; an ASPA replaces that of its customer (8210bis §5.12)."""
        if not self._objects:
            return snapshot
        keys = set(snapshot.router_keys)
        aspas = {aspa.customer: aspa for aspa in snapshot.aspas}
        for pdu in self._objects:
            if isinstance(pdu, RouterKeyPdu):
                _change_keys(keys, pdu)
            else:
                _change_aspas(aspas, pdu)
        return Snapshot.build(
            snapshot.ipv4, snapshot.ipv6, aspas=tuple(aspas.values()), router_keys=tuple(keys)
        )


def _octets_of(pdu: RouterKeyPdu | AspaPdu) -> int:
    if isinstance(pdu, RouterKeyPdu):
        return KEY_OCTETS + len(pdu.key.spki)
    return ASPA_LAYOUT.size + 4 * len(pdu.aspa.providers)


def _change_keys(keys: set[RouterKey], pdu: RouterKeyPdu) -> None:
    if pdu.announce == (pdu.key in keys):
        raise _misfit(pdu.announce, f"router key of AS{pdu.key.asn}", pdu.encode())
    if pdu.announce:
        keys.add(pdu.key)
    else:
        keys.remove(pdu.key)


def _change_aspas(aspas: dict[int, Aspa], pdu: AspaPdu) -> None:
    customer = pdu.aspa.customer
    if pdu.announce:
        aspas[customer] = pdu.aspa
    elif aspas.pop(customer, None) is None:
        raise _misfit(False, f"ASPA of AS{customer}", pdu.encode())


def _misfit(announce: bool, what: str, pdu: bytes) -> PduError:
    if announce:
        return PduError(ErrorCode.DUPLICATE_ANNOUNCEMENT_RECEIVED, f"{what} is announced twice", pdu)
    return PduError(ErrorCode.WITHDRAWAL_OF_UNKNOWN_RECORD, f"{what} is withdrawn but unknown", pdu)


def _misplaced(pdu: bytes) -> PduError:
    return PduError(ErrorCode.ORDERING_ERROR, "payload out of order", pdu)


def _picked(rows4: PrefixRows, rows6: PrefixRows, announce: bool) -> Snapshot:
    """The announced or the withdrawn rows as a set."""
    picked = (rows.columns.take(np.flatnonzero(rows.announce == announce)) for rows in (rows4, rows6))
    return Snapshot.build(*picked)


def _operations(rows: PrefixRows) -> list[tuple[bool, Vrp]]:
    return list(zip(rows.announce.tolist(), rows.columns.vrps(), strict=True))
