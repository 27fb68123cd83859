"""IRR dumps: read in pieces whatever their form; beside the RPKI: the matrix, the objects to delete."""

import gzip
import ipaddress
import itertools
import json
import re
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from rov import Prefix, Snapshot, Vrp, VrpIndex, cli
from rov.audit import judge
from rov.audit.irr import IRR_MATRIX, IRR_OBJECTS, Registered, irr_matrix, irr_objects_table, registered
from rov.audit.tables import prefix_texts
from rov.errors import ReferenceFileError
from rov.formats.compression import stream_pieces
from rov.reference import rpsl
from rov.reference.rpsl import Irr, objects_of, read_irr
from rov.rib import RouteColumns, RouteTable, read_table

DUMP = b"""% RIPE database
% second line

route:      10.0.0.0/24 # ours
descr:      x
origin:     AS64500
mnt-by:     one-mnt
mnt-by:     TWO-MNT
source:     RIPE # Filtered

person:     route: 1.0.0.0/8

*route:     1.2.3.0/24
origin:     AS1

ROUTE6 :    2001:db8::/32
Origin:
+           AS64501
source:     radb

# comment
aut-num:    AS64500
as-name:    US
import:     from AS1
            accept ANY
%           not a line of it
            # nor this
export:     to AS1 announce AS64500
tech-c:     AA1-TEST


route:      10.0.1.0/99
origin:     AS64500
"""

FOUND = [
    (
        "route",
        4,
        {
            "route": ["10.0.0.0/24"],
            "origin": ["AS64500"],
            "mnt-by": ["one-mnt", "TWO-MNT"],
            "source": ["RIPE"],
        },
    ),
    ("route6", 16, {"route6": ["2001:db8::/32"], "origin": ["AS64501"], "source": ["radb"]}),
    (
        "aut-num",
        22,
        {
            "aut-num": ["AS64500"],
            "as-name": ["US"],
            "import": ["from AS1 accept ANY"],
            "export": ["to AS1 announce AS64500"],
            "tech-c": ["AA1-TEST"],
        },
    ),
    ("route", 32, {"route": ["10.0.1.0/99"], "origin": ["AS64500"]}),
]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_objects_whatever_the_pieces(size, end):
    data = DUMP.replace(b"\n", end)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert [*objects_of(pieces, "x")] == FOUND


def test_what_is_kept_of_objects():
    irr = Irr.of(objects_of([DUMP], "x"))
    assert (irr.routes, irr.skipped, irr.first_skipped[:8]) == (2, 1, "line 32:")
    assert [irr.ipv4.texts[number] for number in irr.ipv4.maintainers] == ["ONE-MNT, TWO-MNT"]
    assert [irr.ipv6.texts[number] for number in irr.ipv6.sources] == ["RADB"]
    assert irr.autnums[64500].states_policy
    assert irr.exact.validate("2001:db8::/32", 64501).label == "valid"


@pytest.mark.parametrize("octets", [b"route: x" + b"y" * (17 << 20), b"route: x\n" + b"a:\n" * 100_001])
def test_objects_without_an_end_are_refused(octets):
    pieces = (octets[at : at + (1 << 18)] for at in range(0, len(octets), 1 << 18))
    with pytest.raises(ReferenceFileError, match="an object of more than"):
        list(objects_of(pieces, "x"))


def test_a_long_dump_takes_little_memory(tmp_path):
    """30 MB of objects that are passed over, and 10,000 that are kept."""
    skipped = b"person: " + b"x" * 1000 + b"\n\n"
    with gzip.open(tmp_path / "dump.gz", "wb", compresslevel=1) as file:
        for number in range(10):
            kept = (f"route: 10.{number}.{n % 256}.0/24\norigin: AS{n}\n\n" for n in range(1, 1001))
            file.write("".join(kept).encode() + skipped * 3000)
    tracemalloc.start()
    irr = read_irr([tmp_path / "dump.gz"])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert irr.routes == 10_000
    assert most < 10 << 20


def test_packed_streams_in_pieces(tmp_path):
    path = tmp_path / "x.gz"
    whole = gzip.compress(b"a" * 300_000) + gzip.compress(b"b") + bytes(4)
    path.write_bytes(whole)
    assert b"".join(stream_pieces(path)) == b"a" * 300_000 + b"b"
    for content, message in ((whole[:40], "cut short"), (whole + b"x", "something else follows")):
        path.write_bytes(content)
        with pytest.raises(ReferenceFileError, match=message):
            read_irr([path])
    path.write_bytes(bytes([0x1F, 0x8B, 8]) + b"x" * 100)
    with pytest.raises(ReferenceFileError, match=r"damaged gzip data|cut short"):
        read_irr([path])


@pytest.fixture
def files(tmp_path):
    (tmp_path / "irr.db").write_bytes(DUMP + b"\nroute: 10.0.3.0/24\norigin: AS9\nsource: RADB\n")
    routes = ["10.0.0.0/24,64500,9", "10.0.0.128/25,64500,2", "10.0.0.0/24,7,1", "99.0.0.0/16,64500,1"]
    (tmp_path / "rib.csv").write_text("prefix,origin,peers\n" + "\n".join(routes) + "\n")
    vrps = [Vrp(Prefix.parse("10.0.0.0/24"), 24, 7), Vrp(Prefix.parse("10.0.2.0/23"), 24, 7)]
    Snapshot.from_vrps(vrps).save(tmp_path / "vrps")
    return tmp_path


def run(files, capsys, *more, rib=True):
    code = cli.main(
        [
            "irr",
            *([str(files / "rib.csv")] if rib else []),
            *("--vrps", str(files / "vrps"), "--irr", str(files / "irr.db")),
            *more,
        ]
    )
    return code, *capsys.readouterr()


def test_the_matrix_and_the_objects(files, capsys):
    code, out, _ = run(files, capsys, "--json", "--fail-on", "seen")
    found = json.loads(out)
    assert (code, found["schema"], found["summary"]["to_delete_seen"]) == (1, "rov.irr.objects/1", 1)
    matrix = {(row["family"], row["irr"]): row for row in found["matrix"]}
    assert [matrix[4, word.label]["routes"] for word in Registered] == [1, 1, 1, 1]
    assert (matrix[4, "match"]["invalid"], matrix[4, "mismatch"]["valid"]) == (1, 1)
    first, second = found["rows"]
    assert first == {
        "prefix": "10.0.0.0/24",
        "origin": 64500,
        "reason": "asn",
        "source": "RIPE",
        "maintainer": "ONE-MNT, TWO-MNT",
        "peers": 9,
        "vrps": ["10.0.0.0/24-24 AS7"],
    }
    assert (second["prefix"], second["source"], second["maintainer"], second["peers"]) == (
        "10.0.3.0/24",
        "RADB",
        None,
        0,
    )


def test_without_a_rib(files, capsys):
    code, out, _ = run(files, capsys, "--source", "radb", "--json", "--fail-on", "object", rib=False)
    found = json.loads(out)
    assert (code, found["matrix"], [row["prefix"] for row in found["rows"]]) == (1, None, ["10.0.3.0/24"])
    assert run(files, capsys, "--fail-on", "seen", rib=False)[0] == 0
    (files / "irr.db").write_text("route: 10.0.3.0/24\norigin: AS9\n")
    assert "to be deleted: 1 (no source: 1)" in run(files, capsys, rib=False)[1]
    (files / "irr.db").write_bytes(DUMP)
    code, out, _ = run(files, capsys, "--source", "none")
    assert (code, "no object to delete" in out) == (0, True)


def test_wrong_input(files, capsys):
    (files / "irr.db").write_text("person: x\n")
    code, out, err = run(files, capsys)
    assert (code, out) == (2, "")
    assert "irr.db: expected an IRR dump, found no route" in err


def test_the_page_names_every_column():
    page = (Path(__file__).parents[2] / "docs" / "irr.md").read_text()
    empty = judge(RouteTable(RouteColumns.empty(4), RouteColumns.empty(6)), VrpIndex(Snapshot.empty()))
    for schema, table in (
        (IRR_OBJECTS, irr_objects_table(empty, Irr.of([]))),
        (IRR_MATRIX, irr_matrix(empty, Irr.of([]))),
    ):
        part = re.split(r"^#", page.split(f"`{schema.name}`, one row", 1)[1], maxsplit=1, flags=re.MULTILINE)[
            0
        ]
        stated = [
            name for row in re.findall(r"^\| ([a-z0-9_, ]+) \|", part, re.M) for name in row.split(", ")
        ]
        assert stated[1 : len(table.column_names) + 1] == table.column_names


@pytest.mark.realdata
def test_real_objects_and_routes_one_by_one(data, first_snapshot, tmp_path):
    """124 objects of the RIPE database against the real set and the IPv6 table, object by object."""
    with tarfile.open(data("irr/ripe_rpki-irr-bgp-stats_testresources.tar.xz")) as archive:
        archive.extractall(tmp_path, filter="data")
    names = [tmp_path / "ripe-db-route.txt", tmp_path / "ripe-db-route6.txt"]
    texts = "\n".join(name.read_text("latin-1") for name in names)
    objects = re.findall(r"^route6?:\s+(\S+)(?:\n(?!\n).*)*?\norigin:\s+AS(\d+)", texts, re.M)
    index = VrpIndex(first_snapshot)
    irr = read_irr(names)
    verdicts = judge(read_table(data("rib/riswhoisdump_20241220.IPv6.gz")), index)
    table = irr_objects_table(verdicts, irr)
    wrong = {
        (prefix, int(asn)) for prefix, asn in objects if index.validate(prefix, int(asn)).label == "invalid"
    }
    assert irr.routes == len(objects) == 124
    assert set(zip(table["prefix"].to_pylist(), table["origin"].to_pylist(), strict=True)) == wrong
    matrix = irr_matrix(verdicts, irr).to_pylist()
    assert sum(row["routes"] for row in matrix) == len(verdicts)
    # each route that is registered or contradicted, by prefixes of the standard library
    nets = [(ipaddress.ip_network(prefix), int(asn)) for prefix, asn in objects if ":" in prefix]
    words = registered(verdicts.ipv6, irr)
    texts6 = prefix_texts(verdicts.ipv6.routes)
    for row in itertools.chain((words != Registered.NONE).nonzero()[0].tolist(), range(0, len(words), 997)):
        net, origin = ipaddress.ip_network(texts6[row]), int(verdicts.ipv6.routes.origins[row])
        over = [(other, asn) for other, asn in nets if net.subnet_of(other)]
        own = [other for other, asn in over if asn == origin]
        expected = (
            Registered.MATCH
            if net in own
            else Registered.LESS_SPECIFIC
            if own
            else Registered.MISMATCH
            if over
            else Registered.NONE
        )
        assert words[row] == expected


def test_bound_of_objects(tmp_path, monkeypatch):
    monkeypatch.setattr(rpsl, "MAX_OBJECTS", 2)
    path = tmp_path / "x"
    path.write_text("route: 10.0.0.0/8\norigin: AS1\n\n" * 3)
    with pytest.raises(ReferenceFileError, match="line 7: more than 2 objects"):
        read_irr([path])
