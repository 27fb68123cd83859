"""MRT dumps that are damaged, cut or read in pieces: what is bad is left out, the rest stays."""

import struct

import pytest

import rov
from rov._mrt import MAX_RECORD, Parser
from rov._mrt_peers import Peers
from tests import mrt_writer as w
from tests.mrt_writer import GOOD, PEERS, V4, V6


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
