"""Names of ASes: files of each form, what is done to hostile ones, the columns that have them."""

import csv
import gzip
import io
import json
import lzma

import numpy as np
import pytest

from rov import ArgumentError, Snapshot, Vrp, VrpIndex, cli
from rov.audit import coverage_table, impact_table, judge
from rov.audit.manrs import manrs_table
from rov.errors import ReferenceFileError
from rov.reference import names
from rov.reference.names import LONGEST_NAME, one_line, read_names
from rov.rib import RouteColumns, RouteTable
from rov.types import Prefix

HOSTILE = 'x\x1b[31mred\r\n"quoted", <b>&\t\u202eright\x00'
PLAIN = 'x\ufffd[31mred "quoted", <b>& \ufffdright\ufffd'

FORMS = {
    "json": '{"64496": "ONE One, NL", "AS64497": "TWO", "64498": " "}',
    "asn.txt": "# names\n\n64496 ONE One, NL\nAS64497\tTWO\n64498\n64498  \n",
    "csv": 'country,name,asn\nNL,"ONE One, NL",64496\n,TWO,AS64497\n,,64498\n',
    "BOM": "\ufeffname,asn\nTWO,64497\n\"ONE One, NL\",64496\n",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_each_form(tmp_path, form, pack):
    (tmp_path / "names").write_bytes(pack(FORMS[form].encode()))
    assert read_names([tmp_path / "names"]) == {64496: "ONE One, NL", 64497: "TWO"}


def test_later_files_win_but_not_with_nothing(tmp_path):
    (tmp_path / "a").write_text("1 A\n2 B\n3 C\n")
    (tmp_path / "b").write_text('{"2": "b", "3": ""}')
    assert read_names([tmp_path / "a", tmp_path / "b"]) == {1: "A", 2: "b", 3: "C"}
    assert read_names(tmp_path / "a") == {1: "A", 2: "B", 3: "C"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ": expected JSON"),
        ("{}", "found no AS number"),
        ("# nothing\n", ": line 1: expected JSON"),
        ("{", "expected JSON .* truncated"),
        ('{"1": 2}', "expected JSON .* `str`, got `int`"),
        ('{"1": "a", "x": "b"}', r"expected AS numbers as keys, found 'x' \(byte 11\)"),
        ('{"4294967296": "b"}', "expected AS numbers as keys"),
        ("1 A\nx B\n", ": line 2: expected an AS number, found 'x'"),
        ("1 A\n-1 B\n", ": line 2: expected an AS number"),
        ("1,A\n", ": line 1: expected JSON"),
        ("asn,holder\n1,A\n", ": line 1: expected JSON"),
        ("asn,name\n1,A\nx,B\n", ": line 3: expected an AS number, found 'x'"),
        ('asn,name\n1,"A\n', ": line 2: no line of CSV"),
        ("x" * 200_000, ": line 1: no line of CSV"),
        ("\0\1\2", ": line 1: expected JSON"),
    ],
)
def test_what_is_none_is_told_with_its_place(tmp_path, content, message):
    (tmp_path / "names").write_text(content)
    with pytest.raises(ReferenceFileError, match=message) as raised:
        read_names([tmp_path / "names"])
    assert str(raised.value).startswith(f"{tmp_path / 'names'}: ")
    assert len(str(raised.value)) < len(str(tmp_path)) + 300


def test_a_file_has_so_many_names(tmp_path, monkeypatch):
    (tmp_path / "names").write_text("1 A\n2 B\n2 C\n3 D\n")
    monkeypatch.setattr(names, "MAX_NAMES", 2)
    with pytest.raises(ReferenceFileError, match="line 4: more than 2 names"):
        read_names([tmp_path / "names"])


def test_a_missing_file(tmp_path):
    with pytest.raises(ReferenceFileError, match="cannot be read: No such file"):
        read_names([tmp_path / "none"])


def test_a_name_is_one_line():
    assert one_line(HOSTILE) == PLAIN
    assert one_line("å 東京 Ærø") == "å 東京 Ærø"
    assert one_line("\ud800\x9b") == "\ufffd\ufffd"
    long = one_line("y" * 10**6)
    assert (len(long), long[-4:]) == (LONGEST_NAME, "y...")
    assert one_line("y" * LONGEST_NAME) == "y" * LONGEST_NAME


# --- the columns


ROUTES = """prefix,origin,peers
12.0.2.0/24,501,9
12.0.2.0/25,502,1
12.0.2.128/25,503,2
18.51.100.0/24,,1
"""


@pytest.fixture
def files(tmp_path):
    """A small RIB whose routes but one are invalid, VRPs, names; 503 has none."""
    (tmp_path / "rib.csv").write_text(ROUTES)
    vrps = [Vrp(Prefix.parse("12.0.2.0/24"), 24, 501), Vrp(Prefix.parse("18.51.100.0/24"), 24, 501)]
    Snapshot.from_vrps(vrps).save(tmp_path / "vrps")
    (tmp_path / "names.json").write_text(json.dumps({"0": "nobody", "501": "one", "502": HOSTILE}))
    (tmp_path / "more").write_text("501 ONE-AS\n")
    return tmp_path


def run(files, capsys, *arguments):
    given = [*arguments, files / "rib.csv", "--vrps", files / "vrps"]
    given += ["--names", files / "names.json", "--names", files / "more"]
    code = cli.main(list(map(str, given)))
    return code, *capsys.readouterr()


def test_impact_names_the_origin(files, capsys):
    (files / "delegated").write_text("ripencc|NL|ipv4|12.0.2.0|256|20260101|allocated\n")
    code, out, err = run(
        files, capsys, "impact", "--output", files / "out.csv", "--delegated", files / "delegated"
    )
    assert (code, err) == (0, "")
    text = (files / "out.csv").read_text()
    assert text.count("\n") == 4
    head, *rows = csv.reader(io.StringIO(text))
    assert head[-4:] == ["cover_hops", "country", "registry", "asname"]
    assert [(row[1], row[-1]) for row in rows] == [("502", PLAIN), ("503", ""), ("", "")]
    assert not any(letter in out for letter in "\x1b\r\0\u202e")
    (line,) = (line for line in out.splitlines() if line.startswith("12.0.2.0/25"))
    assert f"AS502   {PLAIN}  asn" in line


def test_scores_have_the_name_beside_the_number(files, capsys):
    (files / "asns").write_text("501\n502\n503\n")
    code, out, _ = run(files, capsys, "manrs", "score", "--asns", files / "asns", "--json")
    rows = json.loads(out)["rows"]
    assert (code, list(rows[0])[:3]) == (0, ["asn", "name", "announced"])
    assert [row["name"] for row in rows] == ["ONE-AS", PLAIN, None]
    _, out, _ = run(files, capsys, "manrs", "score", "--asns", files / "asns")
    assert "AS501  ONE-AS" in out


def test_coverage_by_as_has_names(files, capsys):
    code, out, _ = run(files, capsys, "coverage", "--output", files / "out.json")
    assert code == 0
    assert "AS501      ONE-AS" in out
    found = {row["asn"]: row["name"] for row in json.loads((files / "out.json").read_text())}
    assert found == {None: None, 0: None, 501: "ONE-AS", 502: PLAIN, 503: None}
    code, out, err = run(files, capsys, "coverage", "--by", "country", "--delegated", "none")
    assert (code, out, err) == (2, "", "rov: error: --names: expected --by as, found --by country\n")


@pytest.mark.parametrize("command", [("impact",), ("coverage",), ("manrs", "score", "--asns", "asns")])
def test_a_bad_file_is_told_before_dumps_are_read(files, capsys, monkeypatch, command):
    monkeypatch.chdir(files)
    (files / "asns").write_text("501\n")
    (files / "more").write_text("501 ONE\nx\n")
    (files / "rib.csv").unlink()
    code, out, err = run(files, capsys, *command)
    assert (code, out) == (2, "")
    assert err == f"rov: error: {files}/more: line 2: expected an AS number, found 'x'\n"


def table_of(origins):
    count = len(origins)
    columns = RouteColumns(
        4, np.arange(count, dtype=np.uint32) << 8, np.full(count, 24, np.uint8), origins, [1] * count
    )
    return RouteTable(columns, RouteColumns.empty(6))


def test_functions_check_what_names_are():
    snapshot = Snapshot.from_vrps([Vrp(Prefix.parse("0.0.0.0/8"), 8, 0)])
    verdicts = judge(table_of([501]), VrpIndex(snapshot))
    for function in (
        lambda given: impact_table(verdicts, names=given),
        lambda given: manrs_table(verdicts, [501], names=given),
        lambda given: coverage_table(verdicts, names=given),
    ):
        assert {"name", "asname"} & {*function({}).column_names}
        with pytest.raises(ArgumentError, match="names: expected Mapping, found 'x'"):
            function("x")
        with pytest.raises(ArgumentError, match="name: expected str, found 7"):
            function({501: 7})
    with pytest.raises(ArgumentError, match="expected no names of ASes"):
        coverage_table(verdicts, "country", names={})


@pytest.mark.realdata
def test_real_names(data):
    """Beside json of the standard library; each AS of a table of all of them is named, as is no other."""
    path = data("as/pyasn_asnames.json.xz")
    expected = {int(key): text for key, text in json.loads(lzma.decompress(path.read_bytes())).items()}
    found = read_names([path])
    assert len(found) == len(expected) == 77_586
    changed = {asn for asn, text in found.items() if text != expected[asn]}
    assert changed == {asn for asn, text in expected.items() if not text.isprintable()}
    assert len(changed) == 6
    assert all(text.isprintable() for text in found.values())
    asns = sorted(set(range(0, 400_000, 7)) | {13335})
    verdicts = judge(table_of(np.array(asns, np.uint32)), VrpIndex(Snapshot.empty()))
    named = manrs_table(verdicts, asns, names=found)["name"].to_pylist()
    assert named == [found.get(asn) if asn else None for asn in asns]
    assert named[asns.index(13335)] == "CLOUDFLARENET - CloudFlare, Inc., US"
