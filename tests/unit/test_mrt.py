"""The MRT parser, octet by octet: every subtype, every rule of the path attributes, every kind of damage."""

import struct

import pytest

import rov
from rov._mrt import MAX_RECORD, Parser
from rov._mrt_peers import Peers
from rov.rib import Flag, read_table
from rov.rib import open as open_dump
from tests import mrt_writer as w

PEERS = w.peer_table(("192.0.2.1", 64500), ("192.0.2.2", 64501), ("2001:db8::1", 64502))
V4 = "198.51.100.0/24"
V6 = "2001:db8::/32"


@pytest.fixture
def dump(tmp_path):
    """Rows of the octets: (prefix, origin, peer address, path id, flags); the dump, read to its end."""

    def read(octets, **options):
        file = tmp_path / "dump"
        file.write_bytes(octets)
        with open_dump(file, **options) as opened:
            batches = list(opened)
        return rows(opened, batches), opened, batches

    return read


def rows(opened, batches):
    found = []
    for batch in batches:
        routes = batch.routes
        addresses = routes.addresses.tolist()
        numbers = addresses if routes.family == 4 else [high << 64 | low for high, low in addresses]
        for i, number in enumerate(numbers):
            peer = opened.peers[int(batch.peers[i])].address
            found.append(
                (
                    str(rov.Prefix(routes.family, number, int(routes.lengths[i]))),
                    int(routes.origins[i]),
                    str(peer).split("/")[0],
                    int(batch.path_ids[i]),
                    int(batch.flags[i]),
                )
            )
    return found


def table_rows(table):
    return [
        (str(rov.Prefix(columns.family, number, length)), origin, peers)
        for columns in (table.ipv4, table.ipv6)
        for number, length, origin, peers in zip(
            [word if columns.family == 4 else word[0] << 64 | word[1] for word in columns.addresses.tolist()],
            columns.lengths.tolist(),
            columns.origins.tolist(),
            columns.peers.tolist(),
            strict=True,
        )
    ]


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
    assert table_rows(read_table(tmp_path / "a")) == [(V4, 7, 2), (V4, 8, 1), (V4, 9, 1)]


def test_more_origins_than_are_joined_at_once(tmp_path):
    entries = [w.entry(i % 3, w.path(1000 + i % 200)) for i in range(600)]
    (tmp_path / "a").write_bytes(PEERS + w.rib(2, V4, *entries))
    assert table_rows(read_table(tmp_path / "a")) == [(V4, 1000 + i, 3) for i in range(200)]


def test_more_peers_than_a_word_has_bits(tmp_path, dump):
    peers = [(f"192.0.2.{i}", 64500 + i) for i in range(200)]
    octets = w.peer_table(*peers[:10]) + w.rib(2, "10.0.0.0/8", w.entry(9, w.path(1)))
    octets += w.peer_table(*peers) + w.rib(2, V4, *(w.entry(i, w.path(1)) for i in range(200)))
    (tmp_path / "a").write_bytes(octets)
    table = read_table(tmp_path / "a")
    assert table_rows(table) == [("10.0.0.0/8", 1, 1), (V4, 1, 200)]
    assert table.ipv4.carried_by(10).tolist() == [True, True]
    assert table.ipv4.carried_by(200).tolist() == [False, True]
    assert len(table.peers) == 201


def test_updates_with_ever_more_peers(tmp_path):
    octets = b"".join(
        w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2))), f"10.0.{i >> 8}.{i & 255}")
        for i in range(300)
    )
    (tmp_path / "a").write_bytes(octets)
    assert table_rows(read_table(tmp_path / "a")) == [(V4, 1, 300)]


def test_peers_beyond_the_last_number_share_one(tmp_path):
    octets = b"".join(
        w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2))), f"10.0.{i >> 8}.{i & 255}")
        for i in range(5000)
    )
    (tmp_path / "a").write_bytes(octets)
    table = read_table(tmp_path / "a")
    assert (len(table.peers), table.counts.unknown_peers) == (4096, 5000 - 4095)
    assert table_rows(table) == [(V4, 1, 4096)]


# AS_PATH to origin


@pytest.mark.parametrize(
    ("segments", "origin", "flags"),
    [
        (w.segment(w.SEQUENCE, 1, 70000), 70000, 0),
        (w.segment(w.SEQUENCE, 1) + w.segment(w.SEQUENCE, 2, 3), 3, 0),
        (w.segment(w.SEQUENCE, 64500) + w.segment(w.SET, 64501, 64502), 0, Flag.AS_SET | Flag.ANY_SET),
        (w.segment(w.SEQUENCE, 1) + w.segment(w.SET, 64500), 0, Flag.AS_SET | Flag.ANY_SET),
        (w.segment(w.SET, 5, 6) + w.segment(w.SEQUENCE, 1, 2), 2, Flag.ANY_SET),
        (b"", 0, Flag.EMPTY_PATH),
        (w.segment(w.CONFED_SEQUENCE, 64512), 0, Flag.EMPTY_PATH),
        (w.segment(w.SEQUENCE, 64500) + w.segment(w.CONFED_SEQUENCE, 64512), 0, Flag.EMPTY_PATH),
        (w.segment(w.CONFED_SET, 64512), 0, Flag.EMPTY_PATH),
        (w.segment(w.CONFED_SEQUENCE, 64512) + w.segment(w.SEQUENCE, 1, 2), 2, 0),
        (w.segment(w.SEQUENCE, 1, 2) + w.segment(w.SEQUENCE), 2, 0),
        (w.segment(w.SEQUENCE, 1, 2) + w.segment(w.SET), 2, 0),
        (w.segment(w.SEQUENCE, 1, 0), 0, Flag.EMPTY_PATH),
        (w.segment(w.SEQUENCE, 1, 23456), 23456, 0),
        (w.segment(w.SEQUENCE, *range(1, 256)), 255, 0),
    ],
)
@pytest.mark.parametrize("paths", [False, True])
def test_origin(dump, segments, origin, flags, paths, tmp_path):
    octets = PEERS + w.rib(2, V4, w.entry(0, w.attributes(segments)))
    assert dump(octets, paths=paths)[0] == [(V4, origin, "192.0.2.1", 0, int(flags))]
    assert table_rows(read_table(tmp_path / "dump")) == [(V4, origin, 1)]


@pytest.mark.parametrize(
    "first",
    [
        b"",
        w.attribute(1, b""),
        w.attribute(1, b"\0\2"),
        w.attribute(1, b"\0", 0xC0),
        b"\x50\x01\0\1\0",
        w.attribute(1, b"\0") * 2,
    ],
    ids=["none", "empty", "two octets", "other flags", "extended length", "twice"],
)
def test_origin_behind_what_few_entries_begin_with(dump, first, tmp_path):
    """Entries that begin with ORIGIN as nearly all do are read in a shorter way."""
    path = w.attribute(2, w.segment(w.SEQUENCE, 1, 2))
    assert dump(PEERS + w.rib(2, V4, w.entry(0, first + path)))[0][0][1] == 2
    assert table_rows(read_table(tmp_path / "dump")) == [(V4, 2, 1)]


def test_an_entry_that_ends_within_origin(dump, tmp_path):
    octets = PEERS + w.rib(2, V4, w.entry(0, b"\x40\x01\x01"), w.entry(1, w.path(7)))
    assert [row[1] for row in dump(octets)[0]] == [7]
    assert table_rows(read_table(tmp_path / "dump")) == [(V4, 7, 1)]


def test_an_entry_without_a_path_has_no_origin(dump):
    octets = PEERS + w.rib(2, V4, w.entry(0, w.attribute(1, b"\0")), w.entry(1, b""))
    assert [row[1:] for row in dump(octets)[0]] == [
        (0, "192.0.2.1", 0, Flag.EMPTY_PATH),
        (0, "192.0.2.2", 0, Flag.EMPTY_PATH),
    ]


@pytest.mark.parametrize(
    "attrs",
    [
        w.attributes(w.segment(w.SEQUENCE, 1)[:-1]),
        w.attributes(b"\x02\x02\0\0\0\1"),
        w.attributes(b"\x05\x01\0\0\0\1"),
        w.attributes(b"\x00\x01\0\0\0\1"),
        w.attributes(b"\x02"),
        b"\x40\x02\xff\x02\x01",
        b"\x50\x02\x00",
        b"\x40",
    ],
)
def test_an_entry_whose_attributes_are_not_sound_is_left_out(dump, attrs, tmp_path):
    octets = PEERS + w.rib(2, V4, w.entry(0, attrs), w.entry(1, w.path(7)))
    for options in ({}, {"paths": True}):
        found, opened, _ = dump(octets, **options)
        assert [row[1:3] for row in found] == [(7, "192.0.2.2")]
        assert (opened.counts.malformed, opened.counts.entries) == (1, 1)
    assert table_rows(read_table(tmp_path / "dump")) == [(V4, 7, 1)]


def test_extended_length_and_any_order_of_attributes(dump):
    attrs = w.attribute(5, bytes(4)) + w.attribute(99, bytes(300)) + w.attribute(2, w.segment(2, 1, 2), 0x50)
    # a flag of extended length needs two octets of length
    attrs = w.attribute(5, bytes(4)) + w.attribute(99, bytes(300))
    attrs += b"\x50\x02\x00\x0a" + w.segment(w.SEQUENCE, 1, 2) + w.attribute(1, b"\0")
    assert dump(PEERS + w.rib(2, V4, w.entry(0, attrs)))[0][0][1] == 2


@pytest.mark.parametrize(
    "reach",
    [
        bytes([16]) + bytes(16),
        struct.pack(">HBB", 2, 1, 16) + bytes(16) + b"\0" + w.prefix("2001:db8:ffff::/48"),
        b"",
    ],
    ids=["abbreviated", "full", "empty"],
)
def test_mp_reach_in_a_rib_says_nothing_of_the_prefix(dump, reach):
    attrs = w.path(1, 2) + w.attribute(14, reach, 0x80)
    assert dump(PEERS + w.rib(4, V6, w.entry(0, attrs)), paths=True)[0] == [(V6, 2, "192.0.2.1", 0, 0)]


def test_as4_path_is_ignored_where_ases_have_four_octets(dump):
    attrs = w.path(1, 23456) + w.attribute(17, w.segment(2, 1, 70000), 0xC0)
    assert dump(PEERS + w.rib(2, V4, w.entry(0, attrs)), paths=True)[0][0][1] == 23456


@pytest.mark.parametrize(
    ("old", "new", "more", "merged", "flags"),
    [
        # as long or longer: what AS_PATH has beyond it goes before
        ((2, (1, 23456, 23456)), (2, (70001, 70002)), b"", [1, 70001, 70002], 0),
        ((2, (23456, 23456)), (2, (70001, 70002)), b"", [70001, 70002], 0),
        # shorter: AS4_PATH is ignored
        ((2, (1, 23456)), (2, (70001, 70002, 70003)), b"", [1, 23456], 0),
        # the aggregator spoke 4-octet ASes, so AS4_PATH is older than the last change
        (
            (2, (1, 23456)),
            (2, (70001,)),
            w.attribute(7, b"\0\1" + bytes(4)) + w.attribute(18, bytes(8)),
            [1, 23456],
            0,
        ),
        (
            (2, (1, 23456)),
            (2, (70001,)),
            w.attribute(7, struct.pack(">H", 23456) + bytes(4)) + w.attribute(18, bytes(8)),
            [1, 70001],
            0,
        ),
        ((2, (1, 23456)), (2, (70001,)), w.attribute(7, b"\0\1" + bytes(4)), [1, 70001], 0),
        # an AS_SET counts one, and ends the path
        ((2, (1, 2, 23456)), (1, (70001, 70002)), b"", [1, 2], Flag.AS_SET | Flag.ANY_SET),
    ],
)
def test_as4_path_is_merged(dump, old, new, more, merged, flags):
    attrs = w.attributes(
        w.segment(old[0], *old[1], size=2), w.attribute(17, w.segment(new[0], *new[1]), 0xC0), more
    )
    octets = w.bgp4mp(1, w.message(w.update(w.prefix(V4), attrs)))
    [row], _, [batch] = dump(octets, paths=True)
    assert row[1:] == (0 if flags else merged[-1], "192.0.2.1", 0, int(flags))
    assert batch.attributes.paths.asns.tolist() == merged


def test_confederations_in_as4_path_are_discarded(dump):
    new = w.segment(w.CONFED_SEQUENCE, 1, 2, 3) + w.segment(w.SEQUENCE, 70001) + w.segment(w.CONFED_SET, 9)
    attrs = w.attributes(w.segment(w.SEQUENCE, 1, 23456, size=2), w.attribute(17, new, 0xC0))
    [row], _, [batch] = dump(w.bgp4mp(1, w.message(w.update(w.prefix(V4), attrs))), paths=True)
    assert row[1] == 70001
    assert batch.attributes.paths.asns.tolist() == [1, 70001]


def test_a_malformed_as4_path_is_ignored(dump):
    attrs = w.attributes(
        w.segment(w.SEQUENCE, 1, 23456, size=2), w.attribute(17, w.segment(w.SEQUENCE, 70001)[:-1], 0xC0)
    )
    assert dump(w.bgp4mp(1, w.message(w.update(w.prefix(V4), attrs))))[0][0][1] == 23456


def test_a_sequence_is_cut_in_its_middle(dump):
    old = w.segment(w.SEQUENCE, 1, 2, size=2) + w.segment(w.SET, 8, 9, size=2)
    old += w.segment(w.SEQUENCE, 3, 23456, 23456, size=2)
    attrs = w.attributes(old, w.attribute(17, w.segment(w.SEQUENCE, 70001, 70002), 0xC0))
    [row], _, [batch] = dump(w.bgp4mp(1, w.message(w.update(w.prefix(V4), attrs))), paths=True)
    assert batch.attributes.paths.asns.tolist() == [1, 2, 3, 70001, 70002]
    assert batch.attributes.paths.as_sets.tolist() == [1]
    assert row[4] == Flag.ANY_SET


def test_paths_and_communities(dump):
    more = w.attribute(8, struct.pack(">HHHH", 1, 2, 3, 4), 0xC0) + w.attribute(
        32, struct.pack(">III", 70000, 1, 2), 0xC0
    )
    octets = PEERS + w.rib(
        2, V4, w.entry(0, w.attributes(w.segment(2, 1, 2), more)), w.entry(1, w.path(5)), w.entry(2, w.path())
    )
    _, _, [batch] = dump(octets, paths=True)
    attributes = batch.attributes
    assert attributes.paths.offsets.tolist() == [0, 2, 3, 3]
    assert attributes.paths.asns.tolist() == [1, 2, 5]
    assert attributes.communities.row(0).tolist() == [0x10002, 0x30004]
    assert attributes.communities.row(1).tolist() == []
    assert attributes.large_communities.row(0).tolist() == [[70000, 1, 2]]
    assert batch.attribute_rows.tolist() == [0, 1, 2]
    assert batch.times.tolist() == [1_600_000_000] * 3
    assert dump(octets)[2][0].attributes is None


@pytest.mark.parametrize("octets", [1, 4, 8, 13, 20, 23])
def test_large_communities_cut_short_do_not_shift_those_of_the_next_path(dump, octets):
    cut = w.attribute(32, struct.pack(">6I", 1, 2, 3, 4, 5, 6)[:octets], 0xC0)
    whole = w.attribute(32, struct.pack(">3I", 70000, 1, 2), 0xC0)
    entries = [w.entry(0, w.attributes(w.segment(2, 1, 2), more)) for more in (cut, whole)]
    _, _, [batch] = dump(PEERS + w.rib(2, V4, *entries), paths=True)
    large = batch.attributes.large_communities
    assert large.row(0).tolist() == [[1, 2, 3]][: octets // 12]
    assert large.row(1).tolist() == [[70000, 1, 2]]


def test_of_several_attributes_of_a_kind_the_first_counts(dump):
    """RFC 7606 §3 (g)."""
    more = (
        w.attribute(8, struct.pack(">I", 1), 0xC0),
        w.attribute(8, struct.pack(">I", 2), 0xC0),
        w.attribute(32, struct.pack(">3I", 1, 1, 1), 0xC0),
        w.attribute(32, struct.pack(">3I", 2, 2, 2), 0xC0),
    )
    attrs = w.attributes(w.segment(2, 1, 2), *more)
    _, _, [batch] = dump(PEERS + w.rib(2, V4, w.entry(0, attrs)), paths=True)
    assert batch.attributes.communities.row(0).tolist() == [1]
    assert batch.attributes.large_communities.row(0).tolist() == [[1, 1, 1]]


def test_of_several_aggregators_the_first_tells_whether_as4_path_holds(dump):
    old = w.attribute(7, struct.pack(">H", 23456) + bytes(4)) + w.attribute(7, b"\0\1" + bytes(4))
    more = w.attribute(17, w.segment(2, 70001), 0xC0) + old + w.attribute(18, bytes(8))
    attrs = w.attributes(w.segment(2, 1, 23456, size=2), more)
    assert dump(w.bgp4mp(1, w.message(w.update(w.prefix(V4), attrs))))[0][0][1] == 70001


def test_confederations_are_left_out_of_paths(dump):
    segments = w.segment(w.CONFED_SEQUENCE, 64512) + w.segment(w.SEQUENCE, 1, 2)
    _, _, [batch] = dump(PEERS + w.rib(2, V4, w.entry(0, w.attributes(segments))), paths=True)
    assert batch.attributes.paths.asns.tolist() == [1, 2]


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


# BGP4MP


@pytest.mark.parametrize("kind", [16, 17])
@pytest.mark.parametrize(
    ("subtype", "size", "add_path", "local"),
    [
        (1, 2, False, False),
        (4, 4, False, False),
        (6, 2, False, True),
        (7, 4, False, True),
        (8, 2, True, False),
        (9, 4, True, False),
        (10, 2, True, True),
        (11, 4, True, True),
    ],
)
def test_every_message_subtype(dump, kind, subtype, size, add_path, local):
    path_id = b"\0\0\0\7" if add_path else b""
    body = w.update(path_id + w.prefix(V4), w.path(1, 2, size=size), path_id + w.prefix("10.0.0.0/8"))
    octets = w.bgp4mp(subtype, w.message(body), size=size, kind=kind)
    expected = [
        ("10.0.0.0/8", 0, "192.0.2.1", 7 if add_path else 0, Flag.WITHDRAWN),
        (V4, 2, "192.0.2.1", 7 if add_path else 0, 0),
    ]
    assert dump(octets)[0] == ([] if local else expected)
    assert dump(octets, local=True)[0] == expected
    assert dump(octets)[1].counts.passed == local


def test_announced_and_withdrawn_in_all_places(dump):
    attrs = (
        w.path(1, 2, size=2)
        + w.mp_reach(2, 1, w.prefix(V6) + w.prefix("2001:db8:1::/48"))
        + w.mp_unreach(2, 1, w.prefix("2001:db8:2::/48"))
    )
    octets = w.bgp4mp(1, w.message(w.update(w.prefix(V4), attrs, w.prefix("10.0.0.0/8"))), "2001:db8::9")
    found, opened, _ = dump(octets, paths=True)
    assert {row[:2] + row[4:] for row in found} == {
        (V4, 2, 0),
        ("10.0.0.0/8", 0, Flag.WITHDRAWN),
        (V6, 2, 0),
        ("2001:db8:1::/48", 2, 0),
        ("2001:db8:2::/48", 0, Flag.WITHDRAWN),
    }
    assert (opened.counts.entries, opened.counts.withdrawn) == (3, 2)


def test_the_rows_of_a_message_share_its_path(dump):
    octets = w.bgp4mp(4, w.message(w.update(w.prefix(V4) + w.prefix("10.0.0.0/8"), w.path(1, 2))), size=4)
    octets += w.bgp4mp(4, w.message(w.update(w.prefix("11.0.0.0/8"), w.path(3))), size=4)
    _, _, [batch] = dump(octets, paths=True)
    assert batch.attribute_rows.tolist() == [0, 0, 1]
    assert batch.attributes.paths.offsets.tolist() == [0, 2, 3]


def test_multicast_parts_of_updates(dump):
    attrs = w.path(1, size=2) + w.mp_reach(2, 2, w.prefix(V6))
    octets = w.bgp4mp(1, w.message(w.update(attrs=attrs)))
    assert dump(octets)[0] == []
    assert dump(octets, multicast=True)[0][0][:2] == (V6, 1)


def test_end_of_rib_and_other_messages_give_no_rows(dump):
    octets = w.bgp4mp(1, w.message(w.update()))
    octets += w.bgp4mp(1, w.message(w.update(attrs=w.mp_unreach(2, 1, b""))))
    octets += w.bgp4mp(1, w.message(b"", kind=4)) + w.record(16, 0, bytes(20)) + w.record(16, 5, bytes(8))
    found, opened, _ = dump(octets)
    assert (found, opened.counts.passed, opened.counts.skipped) == ([], 3, 0)


def test_opens_of_old_zebra(dump):
    octets = w.record(16, 1, b"\0\1\0\2" + w.message(bytes(10), kind=1))
    assert dump(octets)[1].counts.passed == 1


@pytest.mark.parametrize(("subtype", "size"), [(1, 2), (4, 4)])
def test_add_path_that_is_not_labelled(dump, subtype, size):
    nlri = b"\0\0\0\1" + w.prefix(V4) + b"\0\0\0\2" + w.prefix("250.0.0.0/8")
    octets = w.bgp4mp(subtype, w.message(w.update(nlri, w.path(1, size=size))), size=size)
    assert [(row[0], row[3]) for row in dump(octets)[0]] == [(V4, 1), ("250.0.0.0/8", 2)]


def test_a_list_that_is_none_in_either_way_is_a_bad_record(dump):
    good = w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2))))
    bad = w.bgp4mp(1, w.message(w.update(w.prefix(V4) + b"\x21\1\2\3\4\5", w.path(1, size=2))))
    found, opened, _ = dump(good + bad + good)
    assert (len(found), opened.counts.skipped, opened.counts.entries) == (2, 1, 2)
    assert "no sound list of prefixes" in opened.warnings[0]


def test_unsound_attributes_make_withdrawals(dump):
    octets = w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.attributes(b"\x02\x09\0\1"))))
    found, opened, _ = dump(octets)
    assert found == [(V4, 0, "192.0.2.1", 0, Flag.WITHDRAWN)]
    assert (opened.counts.malformed, opened.counts.withdrawn, opened.counts.entries) == (1, 1, 0)


def test_extended_messages(dump):
    nlri = b"".join(w.prefix(f"10.{i >> 8}.{i & 255}.0/24") for i in range(15_000))
    octets = w.bgp4mp(4, w.message(w.update(nlri, w.path(1))), size=4)
    assert len(dump(octets)[0]) == 15_000


def test_legacy_bgp(dump):
    body = struct.pack(">H4sH4s", 64500, bytes([192, 0, 2, 1]), 65000, bytes(4))
    octets = w.record(5, 1, body + w.update(w.prefix(V4), w.path(1, 2, size=2), w.prefix("10.0.0.0/8")))
    octets += w.record(5, 3, bytes(10)) + w.record(5, 7, bytes(12))
    found, opened, _ = dump(octets)
    assert found == [
        ("10.0.0.0/8", 0, "192.0.2.1", 0, Flag.WITHDRAWN),
        (V4, 2, "192.0.2.1", 0, 0),
    ]
    assert opened.counts.passed == 2


# Damage


GOOD = PEERS + w.rib(2, V4, w.entry(0, w.path(1, 2)), w.entry(1, w.path(3)))


def test_a_tail_cut_off_keeps_what_was_before(dump):
    for end in range(len(PEERS) + 1, len(GOOD)):
        found, opened, _ = dump(GOOD + GOOD[:end])
        assert len(found) == 2
        assert opened.warnings[0].endswith("are no whole record")
        assert opened.counts.skipped == 0


def test_pieces_of_every_size_give_the_same():
    octets = GOOD + w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2)))) + GOOD

    def read(size):
        parser = Parser(Peers())
        for at in range(0, len(octets), size):
            parser.feed(octets[at : at + size])
            assert parser.parse() is False
        return parser.take_rows(), parser.counts(), parser.pending(), parser.offset

    whole = read(len(octets))
    assert whole[1]["entries"] == 5
    assert all(read(size) == whole for size in range(1, len(octets)))


@pytest.mark.parametrize("distinct", [False, True])
def test_a_record_cut_anywhere_inside_is_left_out_whole(distinct):
    for good in (
        w.rib(2, V4, w.entry(0, w.path(1, 2)), w.entry(1, w.path(3))),
        w.rib(8, V4, w.entry(0, w.path(1, 2), 1), w.entry(1, w.path(3), 2)),
        w.rib_generic(12, 2, 1, bytes(4) + w.prefix(V6), w.entry(0, w.path(1, 2)), w.entry(1, w.path(3))),
        w.table_dump(1, w.table_dump_entry(V4, "192.0.2.1", 1, w.path(7, size=2))),
        w.bgp4mp(1, w.message(w.update(w.prefix(V4), w.path(1, size=2)))),
        PEERS,
    ):
        _, kind, subtype, size = struct.unpack_from(">IHHI", good)
        for cut in range(size):
            parser = Parser(Peers(), distinct)
            octets = PEERS + w.record(kind, subtype, good[12 : 12 + cut])
            octets += w.rib(2, V4, w.entry(0, w.path(9)))
            parser.feed(octets)
            assert parser.parse() is False
            seen = parser.counts()
            assert (seen["bad"], seen["entries"], seen["records"]) == (1, 1, 3), (kind, subtype, cut)
            rows = parser.take_routes()[1:] if distinct else parser.take_rows()
            assert [len(columns[1]) for columns in rows] == [1, 0]


def test_a_record_beyond_the_limit_ends_the_dump(dump):
    octets = GOOD + struct.pack(">IHHI", 0, 13, 2, MAX_RECORD + 1) + bytes(100)
    found, opened, _ = dump(octets)
    assert len(found) == 2
    assert "longer than any record expected" in opened.warnings[0]


def test_a_dump_of_bad_records_only_is_refused(dump):
    with pytest.raises(rov.RibFileError, match="no sound MRT record, the first at offset 0"):
        dump(w.record(13, 2, b"\0\0"))


def test_a_record_of_length_zero(dump):
    found, opened, _ = dump(GOOD + w.record(13, 2, b"") + w.record(16, 1, b""))
    assert (len(found), opened.counts.skipped) == (2, 2)


def test_only_the_first_bad_records_are_named(dump):
    _, opened, _ = dump(GOOD + w.record(13, 2, b"") * 100 + GOOD)
    assert (opened.counts.skipped, len(opened.warnings), opened.counts.entries) == (100, 5, 4)


def test_many_rows_come_in_bounded_batches(dump):
    octets = PEERS + w.rib(2, V4, *[w.entry(0, w.path(1))] * 60_000) * 9
    found, _, batches = dump(octets)
    assert len(found) == 540_000
    assert max(map(len, batches)) <= (1 << 17) + 60_000


def test_feed_refuses_what_would_be_lost():
    parser = Parser(Peers())
    parser.feed(GOOD)
    with pytest.raises(ValueError, match="not read to its end"):
        parser.feed(GOOD)
