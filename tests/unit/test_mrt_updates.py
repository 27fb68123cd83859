"""MRT records that are messages: every subtype, announced and withdrawn prefixes, ADD-PATH, old kinds."""

import struct

import pytest

from rov.rib import Flag
from tests import mrt_writer as w
from tests.mrt_writer import V4, V6


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
