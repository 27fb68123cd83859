"""MRT records that are tables, octet by octet: every subtype, peers, what makes distinct routes."""

import struct

import pytest

import rov
from rov._mrt import Parser
from rov._mrt_peers import Peers
from rov.rib import read_table
from tests import mrt_writer as w
from tests.mrt_writer import PEERS, V4, V6
from tests.rib_rows import rows_of

# TABLE_DUMP_V2


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (w.rib(2, V4, w.entry(0, w.path(1, 2))), (V4, 2, "192.0.2.1", 0, 0)),
        (w.rib(4, V6, w.entry(2, w.path(1, 2))), (V6, 2, "2001:db8::1", 0, 0)),
        (w.rib(8, V4, w.entry(1, w.path(1, 2), 9)), (V4, 2, "192.0.2.2", 9, 0)),
        (w.rib(10, V6, w.entry(1, w.path(1, 2), 9)), (V6, 2, "192.0.2.2", 9, 0)),
        (w.rib_generic(6, 1, 1, w.prefix(V4), w.entry(0, w.path(1, 2))), (V4, 2, "192.0.2.1", 0, 0)),
        (w.rib_generic(6, 2, 1, w.prefix(V6), w.entry(0, w.path(1, 2))), (V6, 2, "192.0.2.1", 0, 0)),
        (
            w.rib_generic(12, 1, 1, b"\0\0\0\5" + w.prefix(V4), w.entry(0, w.path(1, 2))),
            (V4, 2, "192.0.2.1", 5, 0),
        ),
        (w.rib(2, "0.0.0.0/0", w.entry(0, w.path(1))), ("0.0.0.0/0", 1, "192.0.2.1", 0, 0)),
        (w.rib(4, "::/0", w.entry(0, w.path(1))), ("::/0", 1, "192.0.2.1", 0, 0)),
        (w.rib(2, "192.0.2.255/32", w.entry(0, w.path(1))), ("192.0.2.255/32", 1, "192.0.2.1", 0, 0)),
        (
            w.rib(4, "2001:db8::ff/128", w.entry(0, w.path(1))),
            ("2001:db8::ff/128", 1, "192.0.2.1", 0, 0),
        ),
        (w.rib(4, "2001:db8::8000/113", w.entry(0, w.path(1))), ("2001:db8::8000/113", 1, "192.0.2.1", 0, 0)),
    ],
)
def test_every_rib_subtype(dump, octets, expected):
    found, opened, _ = dump(PEERS + octets)
    assert found == [expected]
    assert opened.counts == rov.rib.RibCounts(files=1, entries=1)
    assert opened.warnings == ()


@pytest.mark.parametrize("subtype", [3, 5, 9, 11])
def test_multicast_only_when_asked_for(dump, subtype):
    text = V4 if subtype in (3, 9) else V6
    octets = PEERS + w.rib(subtype, text, w.entry(0, w.path(1), 1 if subtype > 8 else None))
    assert dump(octets)[0] == []
    assert dump(octets)[1].counts.passed == 1
    assert dump(octets, multicast=True)[0][0][:2] == (text, 1)


def test_generic_of_unknown_families_is_passed_over(dump):
    octets = PEERS + w.rib_generic(6, 25, 65, b"\0" * 20) + w.rib_generic(6, 1, 128, b"\0" * 9)
    found, opened, _ = dump(octets)
    assert (found, opened.counts.passed, opened.counts.skipped) == ([], 2, 0)


def test_other_records_are_passed_over(dump):
    octets = (
        w.record(13, 7, b"geo") + w.record(13, 99, b"") + w.record(11, 0, b"ospf") + w.record(999, 9, b"x")
    )
    found, opened, _ = dump(octets + PEERS + w.rib(2, V4, w.entry(0, w.path(1))))
    assert (len(found), opened.counts.passed, opened.counts.skipped) == (1, 4, 0)


def test_bits_beyond_the_length_are_cleared(dump):
    body = struct.pack(">I", 7) + b"\x0d\x0b\xff" + w.count((w.entry(0, w.path(1)),))
    assert dump(PEERS + w.record(13, 2, body))[0][0][0] == "11.248.0.0/13"
    body = struct.pack(">I", 7) + b"\x21\x20\x01\x0d\xb8\xff" + w.count((w.entry(0, w.path(1)),))
    assert dump(PEERS + w.record(13, 4, body))[0][0][0] == "2001:db8:8000::/33"


@pytest.mark.parametrize(("subtype", "octets"), [(2, b"\x21" + bytes(5)), (4, b"\x81" + bytes(17))])
def test_a_length_beyond_the_family_is_a_bad_record(dump, subtype, octets):
    body = struct.pack(">I", 7) + octets + w.count((w.entry(0, w.path(1)),))
    found, opened, _ = dump(PEERS + w.record(13, subtype, body) + w.rib(2, V4, w.entry(0, w.path(1))))
    assert [row[0] for row in found] == [V4]
    assert opened.counts.skipped == 1
    assert "no sound prefix" in opened.warnings[0]
    assert f"offset {len(PEERS)}: record of type 13, subtype {subtype}" in opened.warnings[0]


def test_entries_of_unknown_peers_stay_and_are_counted(dump):
    octets = w.rib(2, V4, w.entry(0, w.path(1))) + PEERS + w.rib(2, V4, w.entry(3, w.path(1)))
    found, opened, _ = dump(octets)
    assert [row[2] for row in found] == ["None", "None"]
    assert opened.counts.unknown_peers == 2


def test_a_later_peer_table_replaces_the_earlier(dump):
    octets = PEERS + w.rib(2, V4, w.entry(0, w.path(1)))
    octets += w.peer_table(("203.0.113.9", 65009), wide=False) + w.rib(2, V4, w.entry(0, w.path(1)))
    octets += w.rib(2, V4, w.entry(1, w.path(1)))
    found, opened, _ = dump(octets)
    assert [row[2] for row in found] == ["192.0.2.1", "203.0.113.9", "None"]
    assert opened.peers[4].asn == 65009


def test_distinct_routes_of_a_record_come_sorted_with_their_peers(tmp_path):
    entries = [w.entry(i, w.path(64500 + i, 9 - i)) for i in range(3)] + [w.entry(0, w.path(64500, 7))]
    (tmp_path / "a").write_bytes(PEERS + w.rib(2, V4, *entries))
    assert rows_of(read_table(tmp_path / "a")) == [(V4, 7, 2), (V4, 8, 1), (V4, 9, 1)]


def test_more_origins_than_are_joined_at_once(tmp_path):
    entries = [w.entry(i % 3, w.path(1000 + i % 200)) for i in range(600)]
    (tmp_path / "a").write_bytes(PEERS + w.rib(2, V4, *entries))
    assert rows_of(read_table(tmp_path / "a")) == [(V4, 1000 + i, 3) for i in range(200)]


def test_more_peers_than_a_word_has_bits(tmp_path, dump):
    peers = [(f"192.0.2.{i}", 64500 + i) for i in range(200)]
    octets = w.peer_table(*peers[:10]) + w.rib(2, "10.0.0.0/8", w.entry(9, w.path(1)))
    octets += w.peer_table(*peers) + w.rib(2, V4, *(w.entry(i, w.path(1)) for i in range(200)))
    (tmp_path / "a").write_bytes(octets)
    table = read_table(tmp_path / "a")
    assert rows_of(table) == [("10.0.0.0/8", 1, 1), (V4, 1, 200)]
    assert table.ipv4.carried_by(10).tolist() == [True, True]
    assert table.ipv4.carried_by(200).tolist() == [False, True]
    assert len(table.peers) == 201


def test_updates_with_ever_more_peers(tmp_path):
    octets = b"".join(
        w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2))), f"10.0.{i >> 8}.{i & 255}")
        for i in range(300)
    )
    (tmp_path / "a").write_bytes(octets)
    assert rows_of(read_table(tmp_path / "a")) == [(V4, 1, 300)]


def test_peers_beyond_the_last_number_share_one(tmp_path):
    octets = b"".join(
        w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2))), f"10.0.{i >> 8}.{i & 255}")
        for i in range(5000)
    )
    (tmp_path / "a").write_bytes(octets)
    table = read_table(tmp_path / "a")
    assert (len(table.peers), table.counts.unknown_peers) == (4096, 5000 - 4095)
    assert rows_of(table) == [(V4, 1, 4096)]


# TABLE_DUMP


@pytest.mark.parametrize(
    ("subtype", "text", "peer", "size"),
    [
        (1, V4, "192.0.2.1", 2),
        (2, V6, "2001:db8::9", 2),
        (3, V4, "192.0.2.1", 4),
        (4, V6, "2001:db8::9", 4),
    ],
)
def test_table_dump(dump, subtype, text, peer, size):
    entry = w.table_dump_entry(text, peer, 64500, w.path(1, 2, size=size), size)
    found, opened, _ = dump(w.table_dump(subtype, entry))
    assert found == [(text, 2, peer, 0, 0)]
    assert opened.peers[1].asn == 64500


def test_table_dump_merges_as4_path(dump):
    attrs = w.attributes(
        w.segment(w.SEQUENCE, 1, 23456, size=2), w.attribute(17, w.segment(w.SEQUENCE, 70001), 0xC0)
    )
    assert dump(w.table_dump(1, w.table_dump_entry(V4, "192.0.2.1", 1, attrs)))[0][0][1] == 70001


def test_several_entries_in_one_table_dump_record(dump):
    entries = [w.table_dump_entry(f"10.{i}.0.0/16", "192.0.2.1", 1, w.path(i, size=2)) for i in range(1, 4)]
    assert [row[1] for row in dump(w.table_dump(1, *entries))[0]] == [1, 2, 3]


def short_by_four(octets):
    """The record as the collectors of 2000 wrote it: view and sequence not counted in its length."""
    time, kind, subtype, size = struct.unpack_from(">IHHI", octets)
    return struct.pack(">IHHI", time, kind, subtype, size - 4) + octets[12:]


def test_records_that_state_four_octets_too_few(dump):
    entries = [w.table_dump_entry(f"10.{i}.0.0/16", "192.0.2.1", 1, w.path(i, size=2)) for i in range(1, 5)]
    octets = short_by_four(w.table_dump(1, *entries[:3])) + short_by_four(w.table_dump(1, entries[3]))
    found, opened, _ = dump(octets)
    assert [row[1] for row in found] == [1, 2, 3, 4]
    assert opened.counts.skipped == 0


def test_a_damaged_first_table_dump_record_does_not_shift_the_others(dump):
    entry = w.table_dump_entry(V4, "192.0.2.1", 1, w.path(7, size=2))
    damaged = w.table_dump(1, entry[:-3])
    found, opened, _ = dump(damaged + w.table_dump(1, entry) + w.table_dump(1, entry))
    assert [row[1] for row in found] == [7, 7]
    assert opened.counts.skipped == 1


def test_a_record_taken_for_longer_than_it_is_in_pieces_of_every_size():
    entry = w.table_dump_entry(V4, "192.0.2.1", 1, w.path(7, size=2))
    octets = w.table_dump(1, entry, entry[:-3]) + w.table_dump(1, entry) + w.table_dump(1, entry)
    for size in range(1, len(octets)):
        parser = Parser(Peers())
        for at in range(0, len(octets), size):
            parser.feed(octets[at : at + size])
            assert parser.parse() is False
        assert (parser.counts()["entries"], parser.counts()["bad"], parser.pending()) == (2, 1, 0)


def test_table_dump_of_a_wrong_length(dump):
    good = w.table_dump_entry(V4, "192.0.2.1", 1, w.path(7, size=2))
    bad = good[:4] + b"\x21" + good[5:]
    found, opened, _ = dump(w.table_dump(1, good) + w.table_dump(1, bad) + w.table_dump(1, good))
    assert (len(found), opened.counts.skipped) == (2, 1)
