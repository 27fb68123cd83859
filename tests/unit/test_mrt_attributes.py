"""Path attributes in MRT dumps: the origin of a path, AS4_PATH merged in, paths and communities."""

import struct

import pytest

from rov.rib import Flag, read_table
from tests import mrt_writer as w
from tests.mrt_writer import PEERS, V4, V6
from tests.rib_rows import rows_of


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
    assert rows_of(read_table(tmp_path / "dump")) == [(V4, origin, 1)]


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
    assert rows_of(read_table(tmp_path / "dump")) == [(V4, 2, 1)]


def test_an_entry_that_ends_within_origin(dump, tmp_path):
    octets = PEERS + w.rib(2, V4, w.entry(0, b"\x40\x01\x01"), w.entry(1, w.path(7)))
    assert [row[1] for row in dump(octets)[0]] == [7]
    assert rows_of(read_table(tmp_path / "dump")) == [(V4, 7, 1)]


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
    assert rows_of(read_table(tmp_path / "dump")) == [(V4, 7, 1)]


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
