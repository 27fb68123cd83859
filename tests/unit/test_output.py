"""VRP files out: equal to what Routinator and rpki-client wrote, and taken by BIRD and OpenBGPD."""

import bz2
import csv
import io
import json
import lzma
import os
import re
import subprocess
import tarfile

import numpy as np
import pytest

import rov
from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp, VrpColumns, slurm
from rov._rows import Rows
from rov.formats.report import MAX_REPORTED
from rov.snapshot import MAX_TRUST_ANCHORS

ALL = {"vrps", "router_keys", "aspas"}
SAMPLE = Snapshot.from_vrps(
    [Vrp(Prefix.parse("12.34.56.0/24"), 24, 1234)],
    aspas=[Aspa(1234, (1, 2, 3, 4))],
    router_keys=[RouterKey(1234, bytes(20), bytes(64))],
)
"""The set of Routinator's own sample files, in which each element stands twice."""


def written(snapshot, to, dialect=None, at=0, exclude=()):
    return b"".join(rov.encode(snapshot, to, dialect, at=at, exclude=exclude))


def once(text):
    """A sample without its second copies: equal neighbours, an object or a line each."""
    text = re.sub(r"(?ms)^( +\{.*?^ {6}\}|[^\n]*?\}),\n\1$", r"\1", text)
    lines = text.split("\n")
    return "\n".join(line for n, line in enumerate(lines) if n == 0 or not line or line != lines[n - 1])


@pytest.fixture(scope="module")
def samples(data):
    with tarfile.open(data("slurm/slurm_and_small_vrp_json_samples.tar.xz")) as archive:
        members = [member for member in archive.getmembers() if member.isfile()]
        return {m.name.removeprefix("./"): archive.extractfile(m).read().decode() for m in members}


FORMATS = ["bird1", "bird2", "csv", "csvcompat", "csvext", "json", "jsonext", "openbgpd", "slurm", "slurm2"]


@pytest.mark.realdata
@pytest.mark.parametrize("parts", [f"{n:03b}" for n in range(8)])
@pytest.mark.parametrize("to", FORMATS)
def test_octets_are_those_of_routinators_samples(samples, to, parts):
    wanted = {part for part, bit in zip(("vrps", "router_keys", "aspas"), parts, strict=True) if bit == "1"}
    assert written(SAMPLE, to, "routinator", exclude=ALL - wanted).decode() == once(
        samples[f"routinator_{parts}.{to}"]
    )


def test_jsonext_states_trust_anchor_and_expiry_where_there_are_any():
    columns = VrpColumns.ipv4([0, 0], [8, 9], [8, 9], [1, 2], [1753003893, 0], [0, 1])
    text = written(Snapshot.build(columns, trust_anchors=["ripe", ""]), "jsonext")
    assert [row["source"] for row in json.loads(text)["roas"]] == [
        [{"type": "exception", "path": None}],
        [{"type": "roa", "tal": "ripe", "validity": {"notAfter": "2025-07-20T09:31:33Z"}}],
    ]
    again = rov.read_bytes(text, "x").snapshot
    assert sorted(again.ipv4.expires.tolist()) == [0, 1753003893]


def test_the_samples_are_reduced_as_meant():
    assert once("a\na\nb\n") == "a\nb\n"
    assert once("    { x },\n    { x }\n  ]") == "    { x }\n  ]"
    assert once("      {\n  x\n      },\n      {\n  x\n      }\n    ]") == "      {\n  x\n      }\n    ]"


@pytest.mark.realdata
def test_octets_are_those_of_rpki_client(first_set, first_snapshot):
    """All but metadata, the parts that a Snapshot does not have, and the trust anchor of router keys."""
    theirs = bz2.decompress(first_set.read_bytes())
    ours = written(first_snapshot, "json", "rpki-client")

    def section(text, name):
        return text[text.index(b'\t"%s": [' % name) :].split(b"\n\t]")[0]

    for name in (b"roas", b"aspas"):
        assert section(ours, name) == section(theirs, name)
    keys = section(theirs, b"bgpsec_keys").replace(b'\n\t\t\t"ta": "ripe",', b"")
    assert section(ours, b"bgpsec_keys") == keys


@pytest.mark.realdata
@pytest.mark.parametrize("dialect", ["rpki-client", "routinator"])
def test_octets_are_those_of_a_real_csv(data, dialect):
    theirs = lzma.decompress(data(f"vrp/{dialect}_10k_2024.csv.xz").read_bytes())
    assert written(rov.read_bytes(theirs, "x").snapshot, "csv", dialect) == theirs


@pytest.fixture(scope="module")
def edges():
    """Rows at the ends of every range, and names that need quotes."""
    vrps = [
        ("0.0.0.0/0", 0, 0),
        ("0.0.0.0/0", 32, 2**32 - 1),
        ("255.255.255.255/32", 32, 1),
        ("10.0.0.0/8", 24, 64496),
        ("10.0.0.0/9", 9, 64496),
        ("::/0", 128, 0),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 128, 5),
        ("::ffff:0:0/96", 96, 6),
        ("2001:db8:0:1::/64", 64, 7),
    ]
    made = [Vrp(Prefix.parse(prefix), most, asn) for prefix, most, asn in vrps]
    four = VrpColumns.of(4, [vrp for vrp in made if vrp.prefix.family == 4])
    six = VrpColumns.of(6, [vrp for vrp in made if vrp.prefix.family == 6])
    times = [0, 1, 1753003893, 253402300799, 951782400]
    return Snapshot.build(
        VrpColumns(4, four.address, four.length, four.max_length, four.asn, times, [0, 1, 2, 3, 0]),
        VrpColumns(6, six.address, six.length, six.max_length, six.asn, None, [0, 1, 2, 3]),
        aspas=[Aspa(2**32 - 1, (0,)), Aspa(64496, (64497, 64498))],
        aspa_expires=[0, 1753003893],
        router_keys=[RouterKey(64496, b"\xff" * 20, b"\xfb\xef\xff")],
        router_key_expires=[1753003893],
        trust_anchors=["ripe", 'a,"b"', "", "tab\there"],
        generated=1753003893,
    )


@pytest.mark.parametrize("dialect", ["rpki-client", "routinator", "arouteserver"])
def test_json_reads_back_whole(edges, dialect):
    again = rov.read_bytes(written(edges, "json", dialect, at=1753003893), "x").snapshot
    assert again == edges
    assert again.generated == 1753003893
    if dialect != "routinator":
        assert [columns.expires.tolist() for columns in (again.ipv4, again.ipv6)] == [
            columns.expires.tolist() for columns in (edges.ipv4, edges.ipv6)
        ]


@pytest.mark.parametrize(
    ("to", "dialect"),
    [("csv", "rpki-client"), ("csv", "routinator"), ("csvcompat", None), ("csvext", None)],
)
def test_csv_reads_back_its_vrps(edges, to, dialect):
    text = written(edges, to, dialect)
    again = rov.read_bytes(text, "x").snapshot
    assert list(again) == list(edges)
    rows = list(csv.reader(io.StringIO(text.decode()), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    if to != "csvext":
        assert {row[3] for row in rows[1:]} >= {"ripe", 'a,"b"', "tab\there"}


@pytest.mark.parametrize("to", ["msgpack", "parquet"])
def test_binary_formats_read_back_everything(edges, to):
    report = rov.read_bytes(written(edges, to), "x")
    again = report.snapshot
    assert again == edges
    assert again.generated == edges.generated
    assert again.aspa_expires.tolist() == edges.aspa_expires.tolist()
    assert again.router_key_expires.tolist() == edges.router_key_expires.tolist()
    for mine, theirs in ((again.ipv4, edges.ipv4), (again.ipv6, edges.ipv6)):
        assert mine.expires.tolist() == theirs.expires.tolist()
        names = [[s.trust_anchors[ta] for ta in c.ta.tolist()] for s, c in ((again, mine), (edges, theirs))]
        assert names[0] == names[1]


@pytest.mark.parametrize("to", ["slurm", "slurm2"])
def test_slurm_adds_the_set_to_nothing(edges, to):
    added = slurm.read_bytes([("x", written(edges, to))]).apply(Snapshot.empty()).snapshot
    assert list(added) == list(edges)
    assert added.router_keys == edges.router_keys
    assert added.aspas == (edges.aspas if to == "slurm2" else ())


@pytest.mark.parametrize("to", sorted(rov.OUTPUTS))
def test_an_empty_set_can_be_written(to):
    for dialect in rov.OUTPUTS[to]:
        text = written(Snapshot.empty(), to, dialect)
        if to in ("json", "csv", "csvcompat", "csvext", "msgpack", "parquet"):
            assert rov.read_bytes(text, "x").snapshot == Snapshot.empty()
        if to.startswith("slurm"):
            assert slurm.read_bytes([("x", text)]).assertions == ()


def test_rpsl_objects(edges):
    objects = written(edges, "rpsl", at=1753003893).decode().split("\n\n")
    assert len([text for text in objects if text.strip()]) == len(edges)
    assert "route6: 2001:db8:0:1::/64\norigin: AS7\n" in written(edges, "rpsl").decode()
    assert "last-modified: 2025-07-20T09:31:33Z\nsource: ROA-RIPE-RPKI-ROOT" in objects[0] + objects[1]


def test_what_is_asked_for_must_exist():
    for arguments in ({"to": "xml"}, {"to": "rpsl", "dialect": "rpki-client"}):
        with pytest.raises(rov.ArgumentError, match="expected one of"):
            rov.encode(SAMPLE, **arguments, at=0)
    with pytest.raises(rov.ArgumentError, match="exclude 'roas'"):
        rov.encode(SAMPLE, "csv", at=0, exclude=["roas"])
    for at in (-1, 10**12):
        with pytest.raises(rov.ArgumentError, match="unix seconds"):
            rov.encode(SAMPLE, "csv", at=at)


@pytest.mark.parametrize("to", ["msgpack", "parquet"])
def test_damaged_binary_files_are_refused(edges, to):
    data = written(edges, to)
    for cut in range(12, len(data), 97):
        with pytest.raises(rov.VrpFileError):
            rov.read_bytes(data[:cut], "x")


def test_parquet_of_others_is_read():
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"asn": ["AS64496", "AS1"], "prefix": ["192.0.2.0/24", "x"], "max_length": [24, 24]})
    out = io.BytesIO()
    parquet.write_table(table, out)
    with pytest.raises(rov.VrpFileError, match="row 2"):
        rov.read_bytes(out.getvalue(), "x")
    report = rov.read_bytes(out.getvalue(), "x", strict=False)
    assert (len(report.snapshot), report.skipped_count, report.format) == (1, 1, "Parquet")
    out = io.BytesIO()
    parquet.write_table(pa.table({"asn": [1]}), out)
    with pytest.raises(rov.VrpFileError, match="no column 'prefix'"):
        rov.read_bytes(out.getvalue(), "x")


PREFIXES = ["192.0.2.0/24", "2001:db8::/32", None, "192.0.2.1/24", "x", "10.0.0.0/8", "10.0.0.0/8", ""]
NUMBERS = {
    "asn": [64496, 2**32 - 1, 1, 2, 3, 2**32, -1, None],
    "max_length": [24, None, 24, 24, 24, 8, 33, 24],
    "expires": [1753003893, None, 0, 0, 0, 2**40, -5, 0],
}


@pytest.mark.parametrize("texts", ["string", "large_string", "string_view", "dictionary"])
@pytest.mark.parametrize("numbers", ["int64", "string", "float64", "dictionary"])
def test_parquet_by_columns_is_as_by_rows(texts, numbers):
    """Every row is taken or refused as Rows.add does it alone, whatever the types of the columns."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    kind = {"dictionary": pa.dictionary(pa.int32(), pa.string()), "string_view": pa.string_view()}
    text = kind.get(texts) or getattr(pa, texts)()
    columns = {"prefix": pa.array(PREFIXES, text), "ta": pa.array(["b", "a", None, "c"] * 2, text)}
    for name, values in NUMBERS.items():
        if numbers == "string":
            values = [None if value is None else f"AS{value}" for value in values]
        column = pa.array(values, pa.int64() if numbers == "dictionary" else getattr(pa, numbers)())
        columns[name] = column.dictionary_encode() if numbers == "dictionary" else column
    table = pa.concat_tables([pa.table(columns)] * 3)
    out = io.BytesIO()
    parquet.write_table(table, out, row_group_size=7)

    rows, faults = Rows(), {}
    for number, row in enumerate(table.to_pylist(), 1):
        fault = rows.add(row["asn"], row["prefix"], row["max_length"], row["ta"], row["expires"])
        if fault is not None:
            faults[number] = fault
    report = rov.read_bytes(out.getvalue(), "x", strict=False)
    assert report.rows == len(table)
    assert {bad.row: bad.fault for bad in report.skipped} == dict(list(faults.items())[:MAX_REPORTED])
    assert report.skipped_count == len(faults)
    expected = Snapshot.build(
        VrpColumns.ipv4(*rows.ipv4()), VrpColumns.ipv6(*rows.ipv6()), trust_anchors=rows.trust_anchors
    )
    assert report.snapshot == expected
    found = [(vrp, report.snapshot.ipv4.expires[row]) for row, vrp in enumerate(report.snapshot.ipv4.vrps())]
    assert found == [(vrp, expected.ipv4.expires[row]) for row, vrp in enumerate(expected.ipv4.vrps())]
    first, fault = next(iter(faults.items()))
    with pytest.raises(rov.VrpFileError, match=f"row {first}: ") as raised:
        rov.read_bytes(out.getvalue(), "x")
    assert fault in str(raised.value)


def test_parquet_of_odd_trust_anchors_and_texts():
    """More names than a column holds, and texts that are no UTF-8, are faults of their rows."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    count = MAX_TRUST_ANCHORS + 2
    prefix = [f"10.{n // 256}.{n % 256}.0/24" for n in range(count)]
    names = {
        "prefix": prefix,
        "asn": [1] * count,
        "max_length": [24] * count,
        "ta": list(map(str, range(count))),
    }
    offsets, octets = pa.py_buffer(np.array([0, 2], "i4")), pa.py_buffer(b"\xff\xfe")
    bad = pa.StringArray.from_buffers(1, offsets, octets)
    good = pa.array(["10.0.0.0/8"])
    tables = [
        pa.table(names),
        pa.table({"prefix": bad, "asn": [1], "max_length": [8]}),
        pa.table({"prefix": good, "asn": bad, "max_length": [8]}),
        pa.table({"prefix": good, "asn": [1], "max_length": [8], "ta": bad}),
    ]
    found = []
    for table in tables:
        out = io.BytesIO()
        parquet.write_table(table, out)
        report = rov.read_bytes(out.getvalue(), "x", strict=False)
        found.append((len(report.snapshot), report.skipped_count, report.skipped[0].fault.partition(":")[0]))
    assert found == [
        (MAX_TRUST_ANCHORS, 2, "ta '256'"),
        (0, 1, r"prefix b'\xff\xfe'"),
        (0, 1, r"asn b'\xff\xfe'"),
        (0, 1, r"ta b'\xff\xfe'"),
    ]


# --- the programs themselves


@pytest.fixture(scope="module")
def many(edges, first_snapshot):
    """Some ten thousand real rows and the edges."""
    part = Snapshot.build(
        first_snapshot.ipv4.take(slice(None, None, 60)),
        first_snapshot.ipv6.take(slice(None, None, 60)),
        trust_anchors=first_snapshot.trust_anchors,
    )
    return part | Snapshot.from_vrps(edges)


def accepts(command, cwd):
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-2000:]


BIRD = "router id 192.0.2.1;\nprotocol device {}\n"


@pytest.mark.realdata
@pytest.mark.interop
def test_bird_loads_what_is_written(many, tmp_path, program):
    bird = program("bird")
    (tmp_path / "roas.conf").write_bytes(written(many, "bird2", "rpki-client"))
    (tmp_path / "bird.conf").write_text(BIRD + 'include "roas.conf";\n')
    accepts([bird, "-p", "-c", "bird.conf"], tmp_path)
    config = BIRD
    for family, columns in ((4, many.ipv4), (6, many.ipv6)):
        part = Snapshot.build(**{f"ipv{family}": columns}, trust_anchors=many.trust_anchors)
        (tmp_path / f"roas{family}.conf").write_bytes(written(part, "bird2", "routinator"))
        config += f"roa{family} table r{family};\nprotocol static {{ roa{family} {{ table r{family}; }};\n"
        config += f'include "roas{family}.conf";\n}}\n'
    (tmp_path / "bird.conf").write_text(config)
    accepts([bird, "-p", "-c", "bird.conf"], tmp_path)


@pytest.mark.realdata
@pytest.mark.interop
@pytest.mark.parametrize("dialect", ["rpki-client", "routinator"])
def test_openbgpd_loads_what_is_written(many, tmp_path, program, dialect):
    bgpd = program("bgpd")
    (tmp_path / "roas.conf").write_bytes(written(many, "openbgpd", dialect))
    config = tmp_path / "bgpd.conf"
    config.write_text(f'AS 64496\nrouter-id 192.0.2.1\ninclude "{tmp_path}/roas.conf"\n')
    config.chmod(0o600)
    os.chmod(tmp_path / "roas.conf", 0o600)
    accepts([bgpd, "-n", "-f", str(config)], tmp_path)
