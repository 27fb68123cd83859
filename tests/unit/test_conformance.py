"""Rows of the conformance list (docs/conformance.md) that no other test bears, and that the list is whole."""

import itertools
import json
import re
from pathlib import Path
from random import Random

import pytest

import rov
from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History, new_history
from rtr_server.protocol.decode import PduReader
from rtr_server.protocol.errors import is_fatal
from rtr_server.protocol.pdu import (
    AspaPdu,
    CacheReset,
    PrefixPdu,
    ResetQuery,
    SerialNotify,
    SerialQuery,
)
from rtr_server.protocol.session import CacheSession
from rtr_server.protocol.source import Timing
from rtr_server.tools import probe
from rtr_server.tools.received import Part, Payload

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = [f"C{number:02}" for number in range(1, 59)]

VRPS = [
    Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496),
    Vrp(Prefix.parse("10.0.0.0/8"), 24, 64497),
    Vrp(Prefix.parse("0.0.0.0/0"), 32, 0),
    Vrp(Prefix.parse("2001:db8::/32"), 48, 64496),
    Vrp(Prefix.parse("2001:db8::/33"), 128, 64497),
]
KEYS = [RouterKey(64496, bytes(20), bytes(91)), RouterKey(64496, bytes(20), b"\1" * 91)]
ASPAS = [Aspa(64496, (64497, 64498)), Aspa(64500, (0,))]
IDS = {0: 10, 1: 11, 2: 12}
ERROR_REPORT = 10
ONE_CHANGE = Snapshot.from_vrps(VRPS[1:], [Aspa(64496, (64499,))], KEYS[1:])


def history_of(*snapshots):
    history = History(IDS, 7, snapshot=snapshots[0])
    for now, snapshot in enumerate(snapshots[1:]):
        history.update(snapshot, float(now))
    return history


def two_serials():
    """Everything, then the same with changes of each kind."""
    return history_of(Snapshot.from_vrps(VRPS, ASPAS, KEYS), ONE_CHANGE)


def drain(session, now=1.0):
    out = b""
    while (chunk := session.next_chunk(1 << 16)) is not None:
        out += chunk
        session.sent(len(chunk), now)
    return out


def ask(session, *queries, now=1.0):
    session.receive_data(b"".join(query.encode() for query in queries), now)
    return cut(drain(session, now))


def cut(octets):
    """PDUs as octets, by their length fields alone."""
    found = []
    while octets:
        length = int.from_bytes(octets[4:8], "big")
        assert 8 <= length <= len(octets)
        found.append(octets[:length])
        octets = octets[length:]
    return found


def decoded(octets):
    reader = PduReader()
    reader.receive_data(bytes(octets))
    return list(iter(reader.next_pdu, None))


def everything(version):
    """What a session of one version sends: a full set, a diff, nothing new, Cache Reset, Notify, Error 3."""
    history = history_of(Snapshot.from_vrps(VRPS, ASPAS, KEYS))
    session = CacheSession(history, now=0.0)
    sent = ask(session, ResetQuery(version))
    history.update(ONE_CHANGE, 1.0)
    sent += ask(session, *(SerialQuery(version, IDS[version], serial) for serial in (7, 8, 9)))
    history.update(Snapshot.from_vrps(VRPS), 5.0)
    session.notify(100.0)
    sent += cut(drain(session, 100.0))
    return sent + ask(session, CacheReset(version), now=101.0)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c01_c02_c03_of_every_pdu_that_is_sent(version):
    sent = everything(version)
    assert {pdu[0] for pdu in sent} == {version}, "C01"
    assert {pdu[1] for pdu in sent} >= {0, 3, 4, 6, 7, 8, 10}
    assert all(int.from_bytes(pdu[4:8], "big") == len(pdu) <= 65535 for pdu in sent), "C02"
    for pdu in sent:
        if pdu[1] in (4, 6, 8):
            assert pdu[2:4] == b"\0\0"
        if pdu[1] in (4, 6):
            assert pdu[8] in (0, 1)
            assert pdu[11] == 0
        if pdu[1] in (9, 11):
            assert pdu[2] in (0, 1)
            assert pdu[3] == 0


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c05_prefixes_have_no_host_bits_and_lengths_in_order(version):
    found = [pdu for pdu in everything(version) if pdu[1] in (4, 6)]
    assert len(found) == 6, "5 VRPs, then one withdrawn"
    payload = Payload([Part(pdu[1], pdu) for pdu in found])
    assert payload.bad_prefix() == ""
    for prefix, max_length in (("192.0.2.1/24", 24), ("192.0.2.0/24", 23), ("192.0.2.0/24", 33)):
        with pytest.raises(rov.RovError):
            Snapshot.from_vrps([Vrp(Prefix.parse(prefix), max_length, 64496)])


def rpki_client(tmp_path, **sections):
    path = tmp_path / "vrps.json"
    path.write_text(json.dumps({"metadata": {"buildtime": "2026-01-01T00:00:00Z"}, **sections}))
    return rov.read(path)


def roa(prefix, asn=64496, ta="ripe"):
    return {"prefix": prefix, "maxLength": 24, "asn": asn, "ta": ta, "expires": 4_000_000_000}


def test_c16_one_vrp_of_many_roas_and_the_loss_of_one_roa_is_invisible(tmp_path):
    both = rpki_client(tmp_path, roas=[roa("192.0.2.0/24", ta=ta) for ta in ("ripe", "apnic", "ripe")])
    history = history_of(both)
    assert history.full(1).count == 1
    assert history.update(rpki_client(tmp_path, roas=[roa("192.0.2.0/24")]), 1.0) is None
    assert history.serial == 7


def test_c17_router_keys_are_one_by_ski_spki_and_asn_together(tmp_path):
    keys = [*KEYS, *KEYS, RouterKey(64497, bytes(20), bytes(91))]
    history = history_of(Snapshot.from_vrps([], [], keys))
    pdus = decoded(history.full(1).payload)
    assert len(pdus) == 3
    assert {(pdu.key.asn, pdu.key.spki) for pdu in pdus} == {(key.asn, key.spki) for key in keys}
    # Of two that differ in SPKI only, one goes: the other stays.
    delta = history.update(Snapshot.from_vrps([], [], keys[1:2]), 1.0)
    assert len(delta.withdrawn.router_keys) == 2
    assert all(not pdu.announce for pdu in decoded(history.diff(1, 7).payload))


@pytest.mark.parametrize(
    ("rows", "providers"),
    [
        ([(5, [7, 6]), (5, [6, 9])], (6, 7, 9)),
        ([(5, [0]), (5, [6])], (6,)),
        ([(5, [0]), (5, [0])], (0,)),
        ([(5, [6, 6, 0])], (6,)),
    ],
)
def test_c18_c19_one_aspa_per_customer_with_the_union_and_as_0_only_alone(tmp_path, rows, providers):
    aspas = [
        {"customer_asid": customer, "providers": given, "expires": 4_000_000_000} for customer, given in rows
    ]
    (pdu,) = decoded(history_of(rpki_client(tmp_path, roas=[], aspas=aspas)).full(2).payload)
    assert pdu == AspaPdu(2, True, Aspa(5, providers))


def test_c19_an_aspa_without_providers_is_never_announced(tmp_path):
    with pytest.raises(rov.RovError, match="at least one provider"):
        rpki_client(
            tmp_path, roas=[], aspas=[{"customer_asid": 5, "providers": [], "expires": 4_000_000_000}]
        )


def test_c20_c21_replaced_by_one_announcement_withdrawn_in_twelve_octets():
    sent = decoded(two_serials().diff(2, 7).payload)
    aspas = [pdu for pdu in sent if isinstance(pdu, AspaPdu)]
    assert aspas == [AspaPdu(2, True, Aspa(64496, (64499,))), AspaPdu(2, False, Aspa(64500, ()))]
    assert len(aspas[1].encode()) == 12


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c35_a_fatal_error_report_is_the_last_thing_sent(version):
    faults = [
        SerialQuery(version, 99, 7),
        CacheReset(version),
        ResetQuery((version + 1) % 3),
    ]
    for fault in faults:
        session = CacheSession(two_serials(), now=0.0)
        ask(session, ResetQuery(version))
        (report,) = decoded(b"".join(ask(session, fault, ResetQuery(version))))
        assert is_fatal(report.code, version)
        assert session.closing
        assert ask(session, ResetQuery(version)) == []


def test_c39_c40_session_ids_differ_per_version_and_from_those_before():
    earlier = new_history(Random(1), Timing())
    assert len(set(earlier.session_ids.values())) == 3
    for seed in range(200):
        later = new_history(Random(seed), Timing(), avoid=earlier.session_ids.values())
        assert not set(later.session_ids.values()) & set(earlier.session_ids.values())
    starts = {new_history(Random(seed), Timing()).serial for seed in range(200)}
    assert len(starts) > 190, "no start at a serial that an earlier life began with"
    assert 0 not in starts


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c42_c43_only_serial_notify_comes_unasked(version):
    history = two_serials()
    new, open_session = CacheSession(history, now=0.0), CacheSession(history, now=0.0)
    ask(open_session, ResetQuery(version))
    unasked, now = [], 1.0
    for number in range(50):
        now += 37.0
        history.update(Snapshot.from_vrps(VRPS[: 1 + number % 4]), now)
        for session in (new, open_session):
            session.notify(now)
            session.tick(now)
        assert drain(new, now) == b"", "C42"
        unasked += decoded(drain(open_session, now))
    assert {type(pdu) for pdu in unasked} == {SerialNotify}
    assert all(b.serial != a.serial for a, b in itertools.pairwise(unasked))
    assert 25 <= len(unasked) <= 50 * 37 / 60 + 1, "C41"


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c52_a_query_in_two_pieces_cut_anywhere(version):
    for query in (ResetQuery(version).encode(), SerialQuery(version, IDS[version], 7).encode()):
        whole = CacheSession(two_serials(), now=0.0)
        whole.receive_data(query, 1.0)
        expected = drain(whole)
        for at in range(1, len(query)):
            session = CacheSession(two_serials(), now=0.0)
            session.receive_data(query[:at], 1.0)
            assert session.next_chunk(1) is None
            session.receive_data(query[at:], 2.0)
            assert drain(session) == expected


def test_c55_the_first_octets_are_there_when_the_query_is():
    """No octet of a response depends on anything but the reader: it is encoded as a whole beforehand."""
    session = CacheSession(two_serials(), now=0.0)
    session.receive_data(ResetQuery(1).encode(), 1.0)
    assert session.pending == sum(map(len, everything_full(1)))
    assert probe.BUDGET < 60


def everything_full(version):
    return ask(CacheSession(two_serials(), now=0.0), ResetQuery(version))


def test_c58_an_expired_vrp_leaves_and_comes_back_with_a_later_expiry():
    early, late = (Snapshot.from_vrps(VRPS[:2]) for _ in range(2))
    history = history_of(early, Snapshot.from_vrps(VRPS[:1]), late)
    pdus = decoded(history.diff(1, 8).payload)
    assert pdus == [PrefixPdu(1, True, VRPS[1])]
    assert history.diff(1, 7).count == 0


# The list as a whole

ROW = re.compile(r"^\| (C\d\d) \|.*\| ([^|]*) \|$", re.MULTILINE)
FILE = re.compile(r"`([\w/]+\.py)`")


def numbers_of(path):
    """The numbers that the names of tests bear, and the ids of their parameters, which begin with them."""
    text = path.read_text()
    names = " ".join(re.findall(r"def (test_\w+|c\d\d_\w+)", text))
    ids = " ".join(re.findall(r'"((?:C\d\d\b ?)+)', text))
    return {f"C{number}" for number in re.findall(r"(?:_|\b)c(\d\d)(?=_)", names)} | set(
        re.findall(r"C\d\d", ids)
    )


def test_every_number_has_a_test_and_the_documentation_names_it():
    rows = dict(ROW.findall((ROOT / "docs" / "conformance.md").read_text()))
    assert list(rows) == NUMBERS
    wrong = {
        (number, name)
        for number, where in rows.items()
        for name in FILE.findall(where) or ["no test"]
        if not (ROOT / name).is_file() or number not in numbers_of(ROOT / name)
    }
    assert wrong == set()
