"""``rov incidents``: made streams whose incidents are known, real updates, and the figures of a talk."""

import json

import pytest

from rov import Aspa, Prefix, ReferenceFileError, Snapshot, Vrp
from rov.audit.incident_summary import percent
from rov.cli import main
from rov.reference.events import read_events
from tests import mrt_writer as mrt

T = 1_700_000_000
PEERS = {64601: "192.0.2.1", 64602: "192.0.2.2"}


def heard(second, peer, prefix, *path):
    """An announcement of a peer at a second after T; without a path a withdrawal."""
    body = (
        mrt.update(mrt.prefix(prefix), mrt.path(peer, *path))
        if path
        else mrt.update(withdrawn=mrt.prefix(prefix))
    )
    record = mrt.bgp4mp(4, mrt.message(body), PEERS[peer], peer, size=4)
    return (T + second).to_bytes(4, "big") + record[4:]


@pytest.fixture
def detect(tmp_path, capsys):
    """The incidents of a stream, beside a RIB of before, by VRPs and ASPAs."""

    def run(stream, *more, before=None, vrps=(), aspas=()):
        (tmp_path / "updates.mrt").write_bytes(b"".join(stream))
        Snapshot.build(Snapshot.from_vrps(vrps).ipv4, None, aspas=aspas).save(tmp_path / "vrps")
        words = ["incidents", "detect", tmp_path / "updates.mrt", "--vrps", tmp_path / "vrps", "--json"]
        if before is not None:
            octets = mrt.peer_table(*((address, asn) for asn, address in PEERS.items()))
            for prefix, path in before.items():
                octets += mrt.rib(2, prefix, mrt.entry(0, mrt.path(*path)))
            (tmp_path / "rib.mrt").write_bytes(octets)
            words += ["--before", tmp_path / "rib.mrt"]
        code = main([*map(str, [*words, *more])])
        return code, json.loads(capsys.readouterr().out)["rows"]

    return run


def vrp(text, asn, most=None):
    prefix = Prefix.parse(text)
    return Vrp(prefix, most or prefix.length, asn)


VRPS = [vrp("1.0.0.0/16", 3333)]
BEFORE = {"1.0.0.0/16": (64601, 3333), "1.2.0.0/16": (64601, 4444)}


def test_a_more_specific_of_another_origin_from_start_to_end(detect):
    stream = [
        heard(0, 64601, "1.0.0.0/16", 3333),
        heard(10, 64601, "1.0.7.0/24", 9, 666),
        heard(20, 64602, "1.0.7.0/24", 666),
        heard(25, 64601, "1.0.8.0/24", 666),
        heard(30, 64601, "1.0.8.0/24"),
        heard(40, 64601, "1.0.7.0/24", 3333),
        heard(4000, 64602, "1.0.7.0/24"),
        heard(9000, 64601, "1.3.0.0/16", 5555),
    ]
    code, (one,) = detect(stream, "--fail-on", "hijack", before=BEFORE, vrps=VRPS)
    assert code == 1
    assert (one["type"], one["kind"], one["victim_as"], one["culprit_as"]) == (
        "hijack",
        "sub_moas",
        3333,
        666,
    )
    assert (one["start"], one["end"]) == (T + 10, T + 4000)
    assert (one["prefix"], one["prefixes"], one["peers"], one["rpki"]) == ("1.0.7.0/24", 2, 2, "invalid")
    assert (one["path"], one["irr"], one["weight"]) == ("64601 9 666", None, 1)


def test_what_flaps_is_one_incident_and_what_comes_back_later_another(detect):
    moas = [heard(second, 64601, "1.0.0.0/16", 666) for second in (0, 200, 2000)]
    gone = [heard(second, 64601, "1.0.0.0/16") for second in (100, 300)]
    _, rows = detect(sorted([*moas, *gone]), before=BEFORE, vrps=VRPS)
    assert [(one["kind"], one["start"] - T, one["end"]) for one in rows] == [
        ("moas", 0, T + 300),
        ("moas", 2000, None),
    ]


def test_route_objects_and_paths_and_relations_are_evidence(detect, tmp_path):
    """The prefix 1.2/16 has no VRP: only a route object of its holder speaks against another origin."""
    stream = [heard(0, 64601, "1.2.0.0/16", 666), heard(1, 64601, "1.2.1.0/24", 4444, 777)]
    assert detect(stream, before=BEFORE, vrps=VRPS)[1] == []
    (weak,) = detect(stream, "--weak", before=BEFORE, vrps=VRPS)[1]
    assert (weak["culprit_as"], weak["rpki"], weak["irr"]) == (666, "not_found", None), "777 is behind 4444"
    (tmp_path / "irr").write_text("route: 1.2.0.0/16\norigin: AS4444\n")
    (found,) = detect(stream, "--irr", tmp_path / "irr", before=BEFORE, vrps=VRPS)[1]
    assert (found["irr"], found["victim_as"]) == (False, 4444)
    (tmp_path / "irr").write_text("route: 1.2.0.0/16\norigin: AS666\n")
    assert detect(stream, "--weak", "--irr", tmp_path / "irr", before=BEFORE, vrps=VRPS)[1] == []
    (tmp_path / "rel").write_text("666|4444|-1\n")
    assert detect(stream, "--weak", "--as-rel", tmp_path / "rel", before=BEFORE, vrps=VRPS)[1] == []


def test_a_longer_prefix_of_the_holder_is_a_mistake_and_no_incident(detect):
    assert detect([heard(0, 64601, "1.0.9.0/24", 3333)], before=BEFORE, vrps=VRPS)[1] == []


def test_without_a_table_vrps_tell_whose_it_is(detect):
    (one,) = detect([heard(0, 64601, "1.0.9.0/24", 666)], vrps=VRPS)[1]
    assert (one["kind"], one["victim_as"], one["end"]) == ("sub_moas", 3333, None)


ASPAS = [Aspa(3333, (20,)), Aspa(30, (20, 40)), Aspa(20, (0,)), Aspa(40, (0,))]
"""3333 and 30 are customers of 20, 30 also of 40: what 30 takes from 20 and gives to 40 is a leak."""


def test_a_leak_is_one_incident_of_the_as_that_leaked(detect):
    stream = [heard(n, 64601, f"1.{n}.0.0/16", 40, 30, 30, 20, 3333) for n in range(5)]
    stream += [heard(60 + n, 64601, f"1.{n}.0.0/16", 40, 20, 3333) for n in range(5)]
    (one,) = detect(stream, aspas=ASPAS)[1]
    assert (one["type"], one["kind"], one["culprit_as"], one["prefixes"]) == ("leak", "aspa", 30, 5)
    assert (one["start"], one["end"], one["weight"]) == (T, T + 64, 0.5)
    # one that was there before does not begin
    before = {"1.9.0.0/16": (64601, 40, 30, 20, 3333)}
    assert (
        detect(stream, before={f"1.{n}.0.0/16": before["1.9.0.0/16"] for n in range(5)}, aspas=ASPAS)[1] == []
    )
    # which hides nothing else that the same AS leaks
    (one,) = detect(stream, before=before | {"1.0.0.0/16": before["1.9.0.0/16"]}, aspas=ASPAS)[1]
    assert (one["culprit_as"], one["prefix"], one["prefixes"]) == (30, "1.1.0.0/16", 4)


def test_bogons(detect):
    _, rows = detect(
        [heard(0, 64601, "10.1.0.0/16", 3333), heard(1, 64601, "1.9.0.0/16", 64512)], before=BEFORE
    )
    assert [(one["type"], one["kind"], one["prefix"], one["culprit_as"]) for one in rows] == [
        ("bogon", "prefix", "10.1.0.0/16", 3333),
        ("bogon", "origin", "1.9.0.0/16", 64512),
    ]


def test_two_ribs(detect, tmp_path, capsys):
    octets = mrt.peer_table(*((address, asn) for asn, address in PEERS.items()))
    octets += mrt.rib(
        2, "1.0.0.0/16", mrt.entry(0, mrt.path(64601, 3333)), mrt.entry(1, mrt.path(64602, 666))
    )
    code, (one,) = detect([octets], before=BEFORE, vrps=VRPS)
    assert (code, one["kind"], one["culprit_as"], one["end"]) == (0, "moas", 666, None)


def test_a_list_as_the_command_writes_it_is_read_again(tmp_path):
    """--output x.json is a list with an object a line; one that is cut off is refused."""
    lines = [
        '{"type":"leak","start":1750000000,"culprit_as":64497}',
        '{"type":"hijack","start":1750000001,"victim_as":64496}',
    ]
    whole = tmp_path / "x.json"
    whole.write_text("[\n" + ",\n".join(lines) + "\n]\n")
    (tmp_path / "x.jsonl").write_text("\n".join(lines) + "\n")
    assert read_events([whole]) == read_events([tmp_path / "x.jsonl"])
    whole.write_text("[\n" + ",\n".join(lines) + "\n")
    with pytest.raises(ReferenceFileError, match=r'x\.json: expected a list of rows, or one as "rows": '):
        read_events([whole])


def test_wrong_usage(tmp_path, capsys):
    Snapshot.empty().save(tmp_path / "vrps")
    assert main(["incidents", "detect", "-", "--vrps", str(tmp_path / "vrps")]) == 2
    assert main(["incidents", "detect", "/nonexistent", "--vrps", str(tmp_path / "vrps")]) == 2
    assert main(["incidents", "summarize", "/nonexistent"]) == 2
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    assert main(["incidents", "summarize", str(tmp_path / "x.csv")]) == 2
    assert "x.csv: line 1: expected CSV with columns start and type" in capsys.readouterr().err
    (tmp_path / "y.csv").write_text("type,start,victim_as\nleak,2018-01-01,x\n")
    assert main(["incidents", "summarize", str(tmp_path / "y.csv"), "--ases", "2018"]) == 2
    assert main(["incidents", "summarize", str(tmp_path / "y.csv")]) == 2
    assert "y.csv: line 2: victim_as 'x': expected an AS number" in capsys.readouterr().err


def year(path, number, incidents, victims, culprits):
    """Made events of a year: so many, with so many distinct victims and culprits."""
    kinds, countries = ("hijack", "leak"), ("JP", "DE")
    rows = [
        f"{kinds[n % 2]},{number}-06-01,{n % victims + 1},{n % culprits + 1},{countries[n % 2]}\n"
        for n in range(incidents)
    ]
    path.write_text("type,start,victim_as,culprit_as,country\n" + "".join(rows))
    return str(path)


def test_the_four_rows_of_the_talk(tmp_path, capsys):
    """12,600; 4.4 %; 2,737; 1,294, and the changes against 2017 as the arithmetic gives them."""
    files = [year(tmp_path / "2017.csv", 2017, 13_935, 3_106, 1_546),
             year(tmp_path / "2018.csv", 2018, 12_600, 2_737, 1_294)]  # fmt: skip
    ases = ["--ases", "2017=57500", "--ases", "2018=62200"]
    assert main(["incidents", "summarize", *files, *ases, "--json"]) == 0
    this, last = json.loads(capsys.readouterr().out)["rows"]
    assert (last["incidents"], last["victims"], last["culprits"]) == (13_935, 3_106, 1_546)
    assert (this["incidents"], this["victims"], this["culprits"]) == (12_600, 2_737, 1_294)
    assert round(this["share_of_ases"], 1) == 4.4
    changes = [round(this[f"{name}_change"], 2) for name in ("incidents", "victims", "culprits")]
    assert changes == [-9.58, -11.88, -16.3]
    assert round(this["share_change"]) == -1
    assert last["incidents_change"] is None
    assert main(["incidents", "summarize", *files, *ases]) == 0
    out = capsys.readouterr().out
    for line in (
        "2018: 12,600 incidents (-9.6 % against 2017)",
        "  4.4 % of all ASes hit (-1.0 points against 2017)",
        "  2,737 ASes hit (-11.9 % against 2017)",
        "  1,294 ASes did it (-16.3 % against 2017)",
    ):
        assert line in out


@pytest.mark.parametrize(
    ("by", "group"), [("type", "leak"), ("country", "DE"), ("victim", "AS2"), ("culprit", "AS2")]
)
def test_counts_by_group(by, group, tmp_path, capsys):
    name = year(tmp_path / "2018.csv", 2018, 100, 10, 4)
    assert main(["incidents", "summarize", name, "--by", by, "--json"]) == 0
    rows = {row["group"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    counts = {"type": (50, 5, 2), "country": (50, 5, 2), "victim": (10, 1, 2), "culprit": (25, 5, 1)}
    assert tuple(rows[group][name] for name in ("incidents", "victims", "culprits")) == counts[by]
    assert sum(row["incidents"] for row in rows.values()) == 100


def test_what_detect_writes_summarize_reads(detect, tmp_path, capsys):
    """Every format of --output, and the answer of --json."""
    stream, words = [heard(0, 64601, "1.0.9.0/24", 666)], ["incidents", "detect", tmp_path / "updates.mrt"]
    detect(stream, vrps=VRPS)
    made = [tmp_path / f"events.{suffix}" for suffix in ("csv", "json.gz", "jsonl", "parquet")]
    for name in made:
        assert main([*map(str, [*words, "--vrps", tmp_path / "vrps", "--output", name])]) == 0
    capsys.readouterr()
    assert main([*map(str, [*words, "--vrps", tmp_path / "vrps", "--json"])]) == 0
    made.append(tmp_path / "answer.json")
    made[-1].write_text(capsys.readouterr().out)
    made.append(tmp_path / "one-line.json")
    made[-1].write_text(json.dumps(json.loads(made[-2].read_text())["rows"]))
    for name in made:
        assert main(["incidents", "summarize", str(name), "--by", "culprit", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)["rows"]
        assert (row["year"], row["group"], row["incidents"]) == (2023, "AS666", 1), name
    assert percent(1, 0) is None


def test_a_quiet_day_has_no_events(tmp_path, capsys):
    """What detect and watch write when nothing happened is no fault of the file."""
    (tmp_path / "quiet.csv").write_text("id,type,kind,start\n")
    (tmp_path / "quiet.jsonl").write_text("")
    (tmp_path / "over.jsonl").write_text('{"event": "cleared", "time": 7}\n')
    (tmp_path / "quiet.json").write_text("[]")
    names = [str(tmp_path / name) for name in ("quiet.csv", "quiet.jsonl", "over.jsonl", "quiet.json")]
    assert main(["incidents", "summarize", *names]) == 0
    assert "0 events" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "expected CSV with columns"),
        (b"PAR1 and no more", "no sound Parquet: "),
        (b'{\n"summary": {}\n}', 'expected a list of rows, or one as "rows": '),
        (b'[{"type": "leak"}]', "line 1: expected a type and a start"),
        (b"[" * 100_000, "expected a list of rows"),
        (b'{"type": ' + b"[" * 100_000, "line 1: expected a JSON object"),
    ],
)
def test_events_that_are_none(octets, said, tmp_path):
    (tmp_path / "x").write_bytes(octets)
    with pytest.raises(ReferenceFileError, match=said):
        read_events([tmp_path / "x"])


@pytest.mark.realdata
def test_real_updates_beside_a_table_made_of_them(data, first_snapshot, tmp_path, capsys):
    """A table that has all routes of the updates leaves no mis-origination; without it there are some."""
    first_snapshot.save(tmp_path / "vrps")
    updates = str(data("mrt/ris.rrc06.updates.1427846400.gz"))
    words = ["incidents", "detect", updates, "--vrps", str(tmp_path / "vrps"), "--json"]
    assert main(words) == 0
    alone = json.loads(capsys.readouterr().out)["summary"]
    assert alone["hijack"] > 0
    assert main([*words, "--before", updates]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["hijack"] == 0
