"""What a hostile dump may cost: paths that no row names, one record of endless routes."""

import struct

import pytest

from rov._mrt import Parser
from rov._mrt_peers import Peers
from tests import mrt_writer as w
from tests.mrt_writer import V4

LONG = w.attributes(b"".join(w.segment(w.SEQUENCE, *range(1, 256)) for _ in range(60)))
"""A path of 15,300 ASes: 61,200 octets where it is kept."""


def fed(octets, **options):
    """A parser that has read all, and whether it asks for what waits to be taken."""
    parser = Parser(Peers(), **options)
    parser.feed(octets)
    return parser, parser.parse()


@pytest.mark.parametrize(
    "octets",
    [
        w.bgp4mp(4, w.message(w.update(attrs=LONG + w.mp_reach(1, 128, b"\x18\1\2\3"))), size=4),
        w.bgp4mp(4, w.message(w.update(attrs=LONG + w.mp_reach(25, 65, b"\x18\1\2\3"))), size=4),
        w.bgp4mp(4, w.message(w.update(attrs=LONG + w.mp_reach(2, 1, b""))), size=4),
        w.bgp4mp(4, w.message(w.update(attrs=LONG + w.mp_reach(2, 1, b"\xff\xff"))), size=4),
        w.bgp4mp(4, w.message(w.update(b"\xff", LONG)), size=4),
        w.rib(2, V4, w.entry(0, LONG), w.entry(0, LONG))[:-1],
    ],
    ids=["another SAFI", "another family", "no prefix", "a list that is none", "bad prefix", "cut entry"],
)
def test_a_path_is_kept_only_for_rows_that_name_it(octets):
    _, kind, subtype, _ = struct.unpack_from(">IHHI", octets)
    octets = w.record(kind, subtype, octets[12:])
    good = w.bgp4mp(4, w.message(w.update(w.prefix(V4), w.path(7))), size=4)
    parser, _ = fed(octets * 20 + good, paths=True)
    ipv4, ipv6 = parser.take_rows()
    asns, ends, *_ = parser.take_paths()
    assert (len(ipv4[1]), len(ipv6[1]), ipv4[8]) == (1, 0, bytes(4))
    assert (struct.unpack("=I", asns), struct.unpack("=I", ends)) == ((7,), (1,))


def test_long_paths_end_a_batch_before_its_rows_do():
    octets = w.bgp4mp(4, w.message(w.update(w.prefix(V4), LONG)), size=4) * 1_500
    parser, full = fed(octets, paths=True)
    parts = []
    while full:
        parts.append((len(parser.take_rows()[0][1]), len(parser.take_paths()[0])))
        full = parser.parse()
    parts.append((len(parser.take_rows()[0][1]), len(parser.take_paths()[0])))
    assert sum(rows for rows, _ in parts) == 1_500
    assert all(octets == rows * 61_200 for rows, octets in parts)
    assert max(octets for _, octets in parts) <= (64 << 20) + 61_200


def test_the_update_in_a_record_of_old_type_is_no_longer_than_a_message():
    """Or one record of 64 MiB, 64 KiB where packed, would be 64 million routes."""
    head = struct.pack(">H4sH4s", 64500, bytes([192, 0, 2, 1]), 65000, bytes(4))
    for size, rows, bad in ((60_000, 60_000, 0), (65_536, 0, 1)):
        body = w.update(bytes(size), w.path(1, size=2))
        parser, _ = fed(w.record(5, 1, head + body))
        assert (len(parser.take_rows()[0][1]), parser.counts()["bad"]) == (rows, bad)


@pytest.mark.parametrize("distinct", [False, True])
def test_a_table_dump_record_has_no_more_entries_than_one_of_the_next_version(distinct):
    entry = w.table_dump_entry(V4, "192.0.2.1", 1, b"")
    for count, bad in ((65_535, 0), (65_536, 1)):
        parser, _ = fed(w.table_dump(1, *[entry] * count), distinct=distinct)
        taken = parser.take_routes()[1] if distinct else parser.take_rows()[0]
        assert (len(taken[1]), parser.counts()["bad"]) == (0 if bad else count, bad)
