"""rov slurm, rov history, rov diff: what they tell, and how they end."""

import json

import pytest

from rov import Aspa, Prefix, Snapshot, Vrp, archive, cli

A = Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)
B = Vrp(Prefix.parse("192.0.0.0/16"), 24, 64497)


def run(capsys, *arguments):
    code = cli.main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return code, out, err


def write(path, vrps, aspas=()):
    Snapshot.from_vrps(vrps, aspas=aspas).save(path)
    return path


# --- slurm


@pytest.fixture
def slurm_file(tmp_path):
    value = {
        "slurmVersion": 1,
        "validationOutputFilters": {
            "prefixFilters": [{"prefix": "192.0.2.0/24", "comment": "mine"}, {"asn": 7}],
            "bgpsecFilters": [],
        },
        "locallyAddedAssertions": {
            "prefixAssertions": [{"asn": 64498, "prefix": "198.51.100.0/24"}],
            "bgpsecAssertions": [],
        },
    }
    path = tmp_path / "local.json"
    path.write_text(json.dumps(value))
    return path


def test_a_sound_slurm_file_is_shown(slurm_file, capsys):
    code, out, err = run(capsys, "slurm", "check", slurm_file)
    assert (code, err) == (0, "")
    assert [line.split("  ")[0] for line in out.splitlines()] == [
        "filter",
        "192.0.2.0/24",
        "AS7",
        "",
        "assertion",
        "198.51.100.0/24-24 AS64498",
        "",
        "files: 1, filters: 2, assertions: 1; no fault",
    ]


def test_what_each_entry_does_is_told(slurm_file, tmp_path, capsys):
    vrps = write(tmp_path / "x.rov", [A, B])
    code, out, err = run(capsys, "slurm", "check", slurm_file, "--vrps", vrps)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:4] == ["192.0.2.0/24", "1", "192.0.2.0/24-24", "AS64496"]
    assert lines[2][:2] == ["AS7", "0"]
    assert "removed: 1 VRPs" in out
    assert "result: 2 VRPs" in out
    _, out, _ = run(capsys, "slurm", "check", slurm_file, "--vrps", vrps, "--json")
    answer = json.loads(out)
    assert [entry["removes"] for entry in answer["filters"]] == [1, 0]
    assert answer["filters"][0]["examples"] == [{"prefix": "192.0.2.0/24", "max_length": 24, "asn": 64496}]
    assert [entry["adds"] for entry in answer["assertions"]] == [1]
    assert answer["result"] == {"vrps": 2, "router_keys": 0, "aspas": 0}


def test_every_fault_of_every_file_is_a_line(slurm_file, tmp_path, capsys):
    bad = tmp_path / "bad.json"
    bad.write_text(slurm_file.read_text().replace("64498", '"AS64498"').replace('"asn": 7', '"ASN": 7'))
    code, out, err = run(capsys, "slurm", "check", bad, slurm_file)
    assert (code, out) == (2, "")
    assert [line.split(": ")[3].rsplit(".", 1)[1] for line in err.splitlines()] == ["prefixFilters[1]", "asn"]
    code, out, err = run(capsys, "slurm", "check", bad, "--json")
    assert (code, err) == (2, "")
    assert (json.loads(out)["valid"], json.loads(out)["count"]) == (False, 2)


def test_overlap_is_refused_unless_allowed(slurm_file, tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text(slurm_file.read_text())
    code, _, err = run(capsys, "slurm", "check", slurm_file, other)
    assert (code, err.count("RFC 8416 §4.2")) == (2, 2)
    assert run(capsys, "slurm", "check", "--allow-overlap", slurm_file, other)[0] == 0


# --- history


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "archive"
    with archive.Archive(path) as writer:
        for serial, vrps in enumerate([[B], [A, B], [A], []]):
            snapshot = Snapshot.from_vrps(vrps)
            writer.append(snapshot, time=1000 * (serial + 1), serial=serial, source="x", why="poll")
    return path


def test_the_story_of_a_route(folder, capsys):
    code, out, err = run(capsys, "history", "192.0.2.0/24", "AS64496", "--archive", folder)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "192.0.2.0/24 AS64496 at 1970-01-01T00:16:40Z: invalid"
    assert [line.split()[:5] for line in lines[-3:-1]] == [
        ["1970-01-01T00:33:20Z", "1", "invalid", "->", "valid"],
        ["1970-01-01T01:06:40Z", "3", "valid", "->", "not_found"],
    ]
    assert "+192.0.2.0/24-24 AS64496" in lines[-3]
    _, out, _ = run(capsys, "history", "192.0.2.0/24", "--archive", folder, "--json")
    assert [len(change["withdrawn"]) for change in json.loads(out)["changes"]] == [0, 1, 1]


def test_a_moment(folder, capsys):
    for at in ("2999", "1970-01-01T00:49:59Z", "1970-01-01T00:49:59"):
        _, out, _ = run(capsys, "history", "192.0.2.0/24", "64496", "--archive", folder, "--at", at, "--json")
        answer = json.loads(out)
        assert (answer["state"], [vrp["asn"] for vrp in answer["covering"]]) == ("valid", [64497, 64496])
    code, out, _ = run(capsys, "history", "192.0.2.0/24", "--archive", folder, "--at", "9999")
    assert (code, out.splitlines()[1]) == (0, "no VRP covers it")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["192.0.2.1/24"], "host bits are set"),
        (["192.0.2.0/24", "x"], "expected an AS number"),
        (["192.0.2.0/24", "--at", "999"], "nothing is known of 999, expected 1000 or later"),
        (["192.0.2.0/24", "--at", "yesterday"], "expected unix seconds"),
        (["192.0.2.0/24", "--archive", "/nonexistent"], "cannot be read"),
    ],
)
def test_what_history_cannot_answer_is_one_line(folder, capsys, arguments, what):
    code, out, err = run(capsys, "history", "--archive", folder, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert what in err


def test_an_empty_archive_is_told(tmp_path, capsys):
    code, _, err = run(capsys, "history", "192.0.2.0/24", "--archive", tmp_path)
    assert (code, "the archive is empty" in err) == (2, True)


# --- diff


@pytest.fixture
def pair(tmp_path):
    rib = tmp_path / "rib.csv"
    rib.write_text("prefix,origin\n192.0.2.0/24,64496\n192.0.2.0/24,1\n198.51.100.0/24,1\n")
    old = write(tmp_path / "old.rov", [A], [Aspa(1, (2,))])
    return old, write(tmp_path / "new.rov", [B], [Aspa(1, (3,))]), rib


def test_what_changed_is_told(pair, capsys):
    old, new, rib = pair
    code, out, err = run(capsys, "diff", old, new, "--rib", rib)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line for line in lines if line[:2] in ("- ", "+ ")] == [
        "- 192.0.2.0/24-24 AS64496",
        "- ASPA of AS1: AS2",
        "+ 192.0.0.0/16-24 AS64497",
        "+ ASPA of AS1: AS3",
    ]
    assert [line.split() for line in lines[-3:]] == [
        [],
        ["route", "origin", "before", "after", "by"],
        ["192.0.2.0/24", "AS64496", "valid", "invalid", "192.0.2.0/24-24", "AS64496"],
    ]
    _, out, _ = run(capsys, "diff", old, new, "--rib", rib, "--json")
    answer = json.loads(out)
    assert answer["matrix"]["valid"] == {"not_found": 0, "valid": 0, "invalid": 1}
    assert answer["matrix"]["invalid"] == {"not_found": 0, "valid": 0, "invalid": 1}
    assert answer["by_asn"] == {
        "64496": {"withdrawn": 1, "announced": 0},
        "64497": {"withdrawn": 0, "announced": 1},
    }
    assert answer["withdrawn"]["aspas"] == [{"customer": 1, "providers": [2]}]


@pytest.mark.parametrize(
    ("condition", "forth", "back"),
    [
        ("changed", 1, 1),
        ("withdrawn", 1, 1),
        ("route", 1, 1),
        ("to-invalid", 1, 0),
        ("valid-to-invalid", 1, 0),
    ],
)
def test_the_exit_code_says_what_was_asked(pair, capsys, condition, forth, back):
    old, new, rib = pair
    for a, b, expected in ((old, new, forth), (new, old, back), (old, old, 0)):
        assert run(capsys, "diff", a, b, "--rib", rib, "--fail-on", condition)[0] == expected


def test_no_change_is_said(pair, capsys):
    old, _, _ = pair
    assert "no change" in run(capsys, "diff", old, old)[1]


def test_lists_are_cut_where_a_person_reads(pair, tmp_path, capsys):
    many = write(tmp_path / "many.rov", [Vrp(Prefix(4, n << 8, 24), 24, n) for n in range(1, 200)])
    out = run(capsys, "diff", pair[0], many)[1]
    assert sum(line.startswith("+ ") for line in out.splitlines()) == 50
    assert "... and 149 more (--limit, --json)" in out
    assert (
        sum(
            line.startswith("+ ")
            for line in run(capsys, "diff", pair[0], many, "--limit", 200)[1].splitlines()
        )
        == 199
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["OLD"], "Missing argument 'NEW'"),
        (["OLD", "/nonexistent"], "cannot be read"),
        (["OLD", "OLD", "--fail-on", "route"], "expected --rib FILE"),
        (["OLD", "OLD", "--rib", "/nonexistent"], "/nonexistent"),
    ],
)
def test_wrong_use_of_diff_is_one_line(pair, capsys, arguments, what):
    code, out, err = run(capsys, "diff", *[pair[0] if word == "OLD" else word for word in arguments])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert what in err


@pytest.mark.realdata
def test_the_real_half_hour(first_snapshot, second_snapshot, data, tmp_path, capsys):
    rib = data("rib/fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz")
    first_snapshot.save(tmp_path / "first.rov")
    second_snapshot.save(tmp_path / "second.rov")
    code, out, _ = run(
        capsys, "diff", tmp_path / "first.rov", tmp_path / "second.rov", "--rib", rib, "--json"
    )
    answer = json.loads(out)
    assert code == 0
    assert (len(answer["withdrawn"]["vrps"]), len(answer["announced"]["vrps"])) == (6, 9)
    assert sum(sum(row.values()) for row in answer["matrix"].values()) == 1_062_046
    assert [(r["prefix"], r["before"], r["after"]) for r in answer["routes"]] == [
        ("116.118.64.0/22", "invalid", "valid")
    ]
    assert answer["old"]["generated"] == 1753003893
