"""``rov contacts``: who is found for an AS, and letters whose advice mends what they name."""

import datetime
import json
import re

import pytest

from rov import Prefix, ReferenceFileError, Snapshot, State, Vrp, VrpIndex, load
from rov.audit import judge, verdict_table
from rov.audit.contacts import contacts_table, invalid_routes
from rov.cli import main
from rov.reference.contacts import Contacts, read_contacts
from rov.report.letters import letters
from rov.rib import read_table

RIB = """prefix,origin
1.0.0.0/24,13335
1.0.1.0/24,13335
1.9.0.0/24,174
1.9.1.0/24,174
2001:200::/32,13335
10.0.0.0/8,13335
1.20.0.0/16,2914
1.20.9.0/24,3257
8.8.8.0/24,15169
"""
VRPS = """ASN,IP Prefix,Max Length,Trust Anchor
AS3333,1.9.0.0/16,16,ripe
AS13335,1.0.0.0/16,16,ripe
AS0,2001:200::/32,32,ripe
AS3333,10.0.0.0/8,8,ripe
AS3333,1.20.0.0/17,17,ripe
AS15169,8.8.8.0/24,24,ripe
"""
RPSL = """aut-num: AS13335
as-name: CLOUD
admin-c: AA1-RIPE
tech-c: TT1-RIPE
org: ORG-X1
import: from AS1 accept ANY
export: to AS1 announce AS13335
source: RIPE

role: Network Operations
nic-hdl: TT1-RIPE
e-mail: noc@cloud.example
abuse-mailbox: abuse@cloud.example
last-modified: 2021-03-04T05:06:07Z
source: RIPE

person: A Person
nic-hdl: AA1-RIPE
e-mail: person@cloud.example
changed: person@cloud.example 20190203
source: RIPE

organisation: ORG-X1
e-mail: evil@x.example, Bcc: everybody@example.net
source: RIPE

aut-num: AS3257
as-name: SILENT
"""
PEERINGDB = {
    "data": [
        {"id": 7, "asn": 174, "name": "Cogent\nSubject: x", "updated": "2020-01-02T03:04:05Z", "poc_set": [
            {"role": "Abuse", "email": "abuse@cogent.example"},
            {"role": "Policy", "email": "peering@cogent.example", "updated": "2022-02-02T00:00:00Z"},
            {"role": "NOC", "email": "noc@cogent.example"},
        ]},
        {"id": 8, "asn": 2914, "name": "Abuse only", "poc_set": [{"role": "Abuse", "email": "a@b.example"}]},
    ]
}  # fmt: skip


@pytest.fixture
def files(tmp_path):
    for name, text in {"rib.csv": RIB, "vrps.csv": VRPS,
                       "ripe.db": RPSL, "net.json": json.dumps(PEERINGDB)}.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


def run(files, capsys, *more):
    base = ["contacts", files / "rib.csv", "--vrps", files / "vrps.csv", "--rpsl", files / "ripe.db"]
    code = main([*map(str, [*base, "--peeringdb", files / "net.json", *more])])
    return code, *capsys.readouterr()


def test_whom_to_write_to(files, capsys):
    code, out, _ = run(files, capsys, "--json", "--fail-on", "unreachable")
    rows = {row["asn"]: row for row in json.loads(out)["rows"]}
    assert (code, list(rows)) == (1, [13335, 174, 3257])
    cloud, cogent, silent = rows.values()
    assert cloud["contacts"] == ["noc@cloud.example", "person@cloud.example"]
    assert (cloud["roles"], cloud["sources"]) == (["tech-c", "admin-c"], ["ripe", "ripe"])
    assert (cloud["last_changed"], cloud["m6"], cloud["m8"]) == ("2021-03-04", True, True)
    assert cogent["contacts"] == ["noc@cogent.example", "peering@cogent.example"]
    assert (cogent["last_changed"], cogent["m6"], cogent["m8"]) == ("2022-02-02", None, True)
    assert (silent["name"], silent["contacts"], silent["m6"], silent["m8"]) == ("SILENT", [], False, False)
    _, out, _ = run(files, capsys, "--json", "--asn", "2914", "--asn", "174")
    assert [(row["asn"], row["invalid"], row["m8"]) for row in json.loads(out)["rows"]] == [
        (174, 2, True),
        (2914, 0, False),
    ]


def test_the_age_is_counted_from_a_day(files):
    index = VrpIndex(Snapshot.from_vrps([Vrp(Prefix.parse("1.9.0.0/16"), 16, 3333)]))
    known = read_contacts(peeringdb=files / "net.json")
    verdicts = judge(read_table(files / "rib.csv"), index)
    (row,) = contacts_table(verdicts, known, datetime.date(2022, 2, 12)).to_pylist()
    assert row["age_days"] == 10


ROA = re.compile(r"^ +ROA (\S+?/\d+)(?:-(\d+))? AS(\d+)$", re.MULTILINE)


def test_letters_mend_what_they_name(files, capsys):
    code, out, _ = run(files, capsys, "--letters", files / "letters")
    assert (code, "3 letters in" in out) == (0, True)
    texts = {path.name: path.read_text() for path in (files / "letters").iterdir()}
    assert not any(str(files) in text for text in texts.values()), "where files lie here is not for others"
    assert set(texts) == {"AS13335.txt", "AS174.txt", "AS3257.txt"}
    assert texts["AS13335.txt"].startswith("To: noc@cloud.example, person@cloud.example\nSubject: AS13335: 4")
    assert texts["AS174.txt"].splitlines()[1].startswith("Subject: AS174: 2 routes are invalid")
    assert "Cogent Subject: x" in texts["AS174.txt"]
    assert "(no contact is published)" in texts["AS3257.txt"]
    for text in ("1.0.0.0/16-16 AS13335", "2001:200::/32-32 AS0"):
        assert text in texts["AS13335.txt"]
    # who follows them has no invalid route, but for the one that is to be withdrawn
    told = [
        Vrp(prefix, int(most or prefix.length), int(asn))
        for text in texts.values()
        for prefix, most, asn in ((Prefix.parse(p), m, a) for p, m, a in ROA.findall(text))
    ]
    assert len(told) == 6
    before = load(files / "vrps.csv")
    after = judge(read_table(files / "rib.csv"), VrpIndex(before.snapshot | Snapshot.from_vrps(told)))
    left = [row for row in verdict_table(after).to_pylist() if row["state"] == "invalid"]
    assert [row["prefix"] for row in left] == ["10.0.0.0/8"]
    assert "withdraw the route. Its prefix or its origin is reserved" in texts["AS13335.txt"]


def test_each_route_its_own_change(files):
    verdicts = judge(read_table(files / "rib.csv"), load(files / "vrps.csv"))
    found = invalid_routes(verdicts)
    assert {asn: [route.prefix for route in routes] for asn, routes in found.items()} == {
        174: ["1.9.0.0/24", "1.9.1.0/24"],
        3257: ["1.20.9.0/24"],
        13335: ["1.0.0.0/24", "1.0.1.0/24", "10.0.0.0/8", "2001:200::/32"],
    }


def test_a_template_of_ones_own(files, capsys):
    (files / "own").mkdir()
    (files / "own" / "letter.txt").write_text("AS{{ asn }}: {{ routes | length }}\n")
    run(files, capsys, "--letters", files / "letters", "--templates", files / "own", "--asn", "174")
    assert (files / "letters" / "AS174.txt").read_text() == "AS174: 2\n"
    (files / "own" / "letter.txt").write_text("{{ nothing }}")
    code, _, err = run(files, capsys, "--letters", files / "letters", "--templates", files / "own")
    assert (code, "template letter.txt: line 1: 'nothing' is undefined" in err) == (2, True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"data": 7}', '{"data": [7]}', '{"data": [{"name": "x"}]}'),
        *('{"data": ' + "[" * 100_000, '{"data": "\udcff"}'),
    ],
)
def test_what_is_no_peeringdb(tmp_path, text):
    (tmp_path / "net.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ReferenceFileError, match="expected JSON of PeeringDB") as caught:
        read_contacts(peeringdb=tmp_path / "net.json")
    assert "attribute" not in str(caught.value), "what the reader's own language says of it helps nobody"


def test_what_of_a_dump_of_peeringdb_is_wrong_is_named(tmp_path):
    (tmp_path / "net.json").write_text('{"data": [{"asn": 64500}, {"asn": 64501, "poc_set": [null]}]}')
    with pytest.raises(ReferenceFileError, match="found another thing as network 2"):
        read_contacts(peeringdb=tmp_path / "net.json")


def test_a_whole_dump_of_peeringdb(tmp_path):
    pocs = [{"net_id": 7, "role": "NOC", "email": "noc@example.net", "updated": "2020-01-01T00:00:00Z"}]
    document = {"net": {"data": [{"id": 7, "asn": 64500, "name": "Example"}]}, "poc": {"data": pocs}}
    (tmp_path / "dump.json").write_text(json.dumps(document))
    (contact,) = read_contacts(peeringdb=tmp_path / "dump.json").of(64500).contacts
    assert (contact.email, contact.changed) == ("noc@example.net", datetime.date(2020, 1, 1))


def test_wrong_usage(files, capsys):
    assert main(["contacts", str(files / "rib.csv"), "--vrps", str(files / "vrps.csv")]) == 2
    assert "expected --rpsl or --peeringdb" in capsys.readouterr().err
    code, _, err = run(files, capsys, "--rpsl", "/nonexistent")
    assert (code, "/nonexistent: cannot be read" in err) == (2, True)


@pytest.mark.realdata
def test_letters_about_a_real_table_mend_it(data, first_snapshot):
    """Each ROA that a letter asks for makes its route valid, beside the real VRPs, and harms nobody."""
    table = read_table(data("mrt/namex-bgpd-rib-inet.mrt.gz"))
    verdicts = judge(table, VrpIndex(first_snapshot))
    told, withdrawn = [], 0
    for _, text in letters(verdicts, Contacts(), ribs=["namex"], vrps="vrps"):
        withdrawn += text.count("What mends it: withdraw the route.")
        for prefix, most, asn in ROA.findall(text):
            told.append(Vrp(Prefix.parse(prefix), int(most or prefix.rpartition("/")[2]), int(asn)))
    assert len(told) > 100
    after = judge(table, VrpIndex(first_snapshot | Snapshot.from_vrps(told)))
    none = sum(
        int((part.having(State.INVALID) & (part.routes.origins == 0)).sum()) for part in after.families()
    )
    assert after.count(State.INVALID) == withdrawn + none
