"""JSON of Alice-LG and of Bird's Eye as dumps: sessions, paths, communities, several documents, bad ones."""

import gzip
import json

import pytest

import rov
from rov.rib import Flag, read_table
from rov.rib import open as open_dump

ALICE = [
    {"api": {}, "neighbours": [{"id": "p1", "state": "up", "address": "192.0.2.1", "asn": 64501}]},
    {
        "api": {},
        "imported": [
            {
                "network": "198.51.100.0/24",
                "neighbour_id": "p1",
                "gateway": "192.0.2.99",
                "bgp": {
                    "as_path": ["64501", "64502"],
                    "communities": [[64501, 1], ["rt", 1, 2], [70000, 1]],
                    "large_communities": [[64501, 10, 4294967295]],
                },
            },
            {"network": "2001:db8::/32", "gateway": "2001:db8:f::1", "bgp": {"as_path": [64503, "{1", "2}"]}},
        ],
        "filtered": [{"network": "203.0.113.0/24", "bgp": {"as_path": [64501]}}],
    },
]

BIRDS_EYE = [
    {"protocols": {"pb_0001": {"neighbor_address": "192.0.2.1", "neighbor_as": 64501, "state": "up"}}},
    {
        "api": {"version": "1.1.0"},
        "routes": [
            {
                "network": "198.51.100.0/24",
                "from_protocol": "pb_0001",
                "learnt_from": None,
                "gateway": "192.0.2.99",
                "bgp": {
                    "as_path": "64501 64502",
                    "communities": ["64501:1"],
                    "large_communities": ["64501:10:4294967295"],
                },
            },
            {"network": "2001:db8::/32", "learnt_from": "2001:db8:f::1", "bgp": {"as_path": "64503 {1 2}"}},
        ],
    },
]


def written(tmp_path, *documents, indent=None, between=""):
    path = tmp_path / "rs.json"
    path.write_text(between.join(json.dumps(document, indent=indent) for document in documents))
    return path


def everything(path):
    with open_dump(path, paths=True) as dump:
        found = [
            (
                batch.routes.family,
                batch.routes.lengths.tolist(),
                batch.routes.origins.tolist(),
                [str(dump.peers[peer].address) for peer in batch.peers],
                [dump.peers[peer].asn for peer in batch.peers],
                [
                    batch.attributes.paths.asns[
                        slice(*batch.attributes.paths.offsets[place : place + 2])
                    ].tolist()
                    for place in batch.attribute_rows
                ],
                [batch.attributes.communities.row(place).tolist() for place in batch.attribute_rows],
                [batch.attributes.large_communities.row(place).tolist() for place in batch.attribute_rows],
                batch.flags.tolist(),
            )
            for batch in dump
        ]
    return found, dump


EXPECTED = [
    (4, [24], [64502], ["192.0.2.1/32"], [64501], [[64501, 64502]], [[64501 << 16 | 1]],
     [[[64501, 10, 4294967295]]], [0]),
    (6, [32], [0], ["2001:db8:f::1/128"], [64503], [[64503]], [[]], [[]], [Flag.AS_SET | Flag.ANY_SET]),
]  # fmt: skip


@pytest.mark.parametrize("documents", [ALICE, BIRDS_EYE], ids=["Alice-LG", "Bird's Eye"])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("between", ["", "\n"])
def test_routes_of_several_answers(tmp_path, documents, indent, between):
    found, dump = everything(written(tmp_path, *documents, indent=indent, between=between))
    assert found == EXPECTED
    assert (dump.format, dump.counts.entries, dump.counts.as_set, dump.warnings) == (
        "looking glass",
        2,
        1,
        (),
    )


def test_an_array_and_one_document(tmp_path):
    assert everything(written(tmp_path, ALICE))[0] == EXPECTED
    merged = {**ALICE[0], **ALICE[1]}
    assert everything(written(tmp_path, merged))[0] == EXPECTED


def test_as_a_table_of_routes(tmp_path):
    path = tmp_path / "rs.json.gz"
    path.write_bytes(gzip.compress(json.dumps(ALICE).encode()))
    table = read_table(path)
    assert (len(table.ipv4), len(table.ipv6), len(table.peers) - 1) == (1, 1, 2)
    assert table.ipv4.carried_by(1).tolist() == [True]


def test_bad_routes_are_left_out_and_named(tmp_path):
    good = ALICE[1]["imported"][0]
    bad = [
        {"network": "198.51.100.1/24", "bgp": {}},
        {"network": "x"},
        {**good, "bgp": {"as_path": ["x"]}},
        {**good, "bgp": {"as_path": [1] * 5000}},
    ]
    found, dump = everything(written(tmp_path, {"imported": [*bad, *[good] * 5]}))
    assert (len(found[0][1]), dump.counts.skipped) == (5, 4)
    assert [warning.partition(": ")[2][:8] for warning in dump.warnings] == [
        f"route {n}:" for n in (1, 2, 3, 4)
    ]
    with pytest.raises(rov.RibFileError, match="most routes are bad, the first: route 1"):
        read_table(written(tmp_path, {"imported": bad}))


def test_missing_pages_are_told(tmp_path):
    pages = [{**ALICE[1], "pagination": {"page": page, "total_pages": 3}} for page in (0, 1)]
    _, dump = everything(written(tmp_path, *pages))
    (warning,) = dump.warnings
    assert warning.endswith("2 of the 3 pages of p1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"imported": [', "no sound JSON"),
        ('{"imported": 1}', "no sound JSON"),
        ('{"neighbors": []}', "found no list of them"),
        ('{"routes": []} x', "no sound JSON"),
        ('{"routes": []}\n{"routes": [}', "no sound JSON"),
        ('{"roas": []}', "expected an MRT dump"),
        ('{"routes": [' + "[" * 100_000, "no sound JSON"),
    ],
)
def test_what_is_no_looking_glass(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    for read in (read_table, everything):
        with pytest.raises(rov.RibFileError, match=message):
            read(path)
