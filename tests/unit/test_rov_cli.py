"""The command rov: what it writes, its exit codes, and that it is quiet where it should be."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rov
import rov_command
from rov import cli
from rov.synth import vrps

ROWS = [
    {"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe", "expires": 1753453058},
    {"asn": 64497, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "ripe", "expires": 1753590490},
    {"asn": 0, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "apnic"},
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    document = {
        "metadata": {"buildtime": "2025-07-20T09:31:33Z"},
        "roas": ROWS,
        "aspas": [{"customer_asid": 1, "providers": [2]}],
    }
    name = tmp_path / "vrps.json"
    name.write_text(json.dumps(document))
    return str(name)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    name = tmp_path / "bad.json"
    name.write_text(json.dumps([*ROWS, {"asn": "AS", "prefix": "192.0.2.0/24"}]))
    return str(name)


Output = pytest.CaptureFixture[str]


def error(capsys: Output) -> str:
    """The one line on stderr, with nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rov: error: ")
    assert err.count("\n") == 1
    return err.removeprefix("rov: error: ").rstrip()


def test_validate_explains(path: str, capsys: Output) -> None:
    assert cli.main(["validate", "192.0.2.0/25", "AS64496", "--vrps", path]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "192.0.2.0/25 AS64496 valid: a VRP has this origin and allows this length",
        "covering VRP  max  origin",
        "192.0.2.0/24  25   AS64496  matched",
        "192.0.2.0/24  24   AS64497  unmatched_length",
    ]


@pytest.mark.parametrize(
    ("prefix", "asn", "line"),
    [
        ("192.0.2.0/26", "64496", "invalid: VRPs of this origin cover the prefix, none allows its length"),
        ("192.0.2.0/24", "1", "invalid: VRPs cover the prefix, none has this origin"),
        (
            "2001:DB8::/32",
            "1",
            "invalid: the VRPs that cover the prefix are for AS 0: nobody may use it",
        ),
        ("198.51.100.0/24", "1", "not_found: no VRP covers the prefix"),
    ],
)
def test_reasons(path: str, capsys: Output, prefix: str, asn: str, line: str) -> None:
    assert cli.main(["validate", prefix, asn, "--vrps", path]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{prefix.lower()} AS{asn} {line}"


def test_validate_in_json(path: str, capsys: Output) -> None:
    assert cli.main(["validate", "192.0.2.0/24", "64497", "--vrps", path, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["validated_route"]
    assert answer["route"] == {"origin_asn": "AS64497", "prefix": "192.0.2.0/24"}
    assert (answer["validity"]["state"], answer["validity"]["reason"]) == ("valid", "matched")
    assert answer["validity"]["VRPs"] == {
        "matched": [{"asn": "AS64497", "prefix": "192.0.2.0/24", "max_length": 24}],
        "unmatched_as": [{"asn": "AS64496", "prefix": "192.0.2.0/24", "max_length": 25}],
        "unmatched_length": [],
    }


@pytest.mark.parametrize(
    ("fail_on", "code"), [([], 0), (["valid"], 1), (["invalid"], 0), (["invalid", "valid"], 1)]
)
def test_fail_on(path: str, fail_on: list[str], code: int) -> None:
    options = [word for state in fail_on for word in ("--fail-on", state)]
    assert cli.main(["validate", "192.0.2.0/24", "64496", "--vrps", path, *options]) == code


LINES = "192.0.2.0/24 64496\n\n# a comment\n2001:db8::/48,AS1 # and one more\n198.51.100.0/24\tas2\n"


def test_validate_many(path: str, tmp_path: Path, capsys: Output) -> None:
    routes = tmp_path / "routes"
    routes.write_text(LINES)
    arguments = ["validate", "--vrps", path, "--input", str(routes)]
    assert cli.main(arguments) == 0
    expected = "192.0.2.0/24 AS64496 valid\n2001:db8::/48 AS1 invalid\n198.51.100.0/24 AS2 not_found\n"
    assert capsys.readouterr().out == expected
    assert cli.main([*arguments, "--fail-on", "invalid"]) == 1
    capsys.readouterr()
    assert cli.main([*arguments, "--json"]) == 0
    answers = [json.loads(line)["validated_route"] for line in capsys.readouterr().out.splitlines()]
    assert [answer["validity"]["state"] for answer in answers] == ["valid", "invalid", "not_found"]


def test_validate_many_from_stdin_in_batches(
    path: str, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("192.0.2.0/24 64496\n" * 7 + "192.0.2.0/24 1\n"))
    monkeypatch.setattr("rov.cli.validate.LINES_PER_BATCH", 3)
    assert cli.main(["validate", "--vrps", path, "--fail-on", "invalid"]) == 1
    states = [line.split()[2] for line in capsys.readouterr().out.splitlines()]
    assert states == ["valid"] * 7 + ["invalid"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("192.0.2.0/24", "expected PREFIX ASN, found '192.0.2.0/24'"),
        ("192.0.2.0/24 AS", "expected PREFIX ASN"),
        ("192.0.2.0/24 1 2", "expected PREFIX ASN"),
        ("192.0.2.1/24 1", "host bits are set"),
    ],
)
def test_a_bad_line_is_named(path: str, tmp_path: Path, capsys: Output, line: str, message: str) -> None:
    routes = tmp_path / "routes"
    routes.write_text(f"192.0.2.0/24 1\n{line}\n")
    assert cli.main(["validate", "--vrps", path, "--input", str(routes)]) == 2
    found = error(capsys)
    assert f"{routes}: line 2: " in found
    assert message in found


def test_routes_that_are_no_text(path: str, tmp_path: Path, capsys: Output) -> None:
    routes = tmp_path / "routes"
    routes.write_bytes(b"\xff\xfe\n")
    assert cli.main(["validate", "--vrps", path, "--input", str(routes)]) == 2
    assert "expected text" in error(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["validate", "192.0.2.0/24", "--vrps", "x"], "expected PREFIX and ASN, or --input FILE"),
        (["validate", "192.0.2.0/24", "1", "--vrps", "x", "--input", os.devnull], "expected PREFIX and ASN"),
        (
            ["validate", "192.0.2.0/24", "AS", "--vrps", "x"],
            "'AS': expected an AS number from 0 to",
        ),
        (["validate", "192.0.2.0/24", "1"], "Missing option '--vrps'"),
        (["validate", "192.0.2.0/24", "1", "--vrps", "/none"], "/none: cannot be read: No such file"),
        (["validate", "192.0.2.0/24", "1", "--vrps", "x", "--fail-on", "y"], "'y' is not one of"),
        (["validate", "--vrps", "x", "--input", "/none"], "/none"),
        (["info", "/none"], "/none: cannot be read"),
        (["info"], "Missing argument 'FILE'"),
        (["nothing"], "No such command 'nothing'"),
        (["synth", "vrps", "--count", "0", "--output", "-"], "Invalid value for '--count'"),
        (["synth", "vrps", "--count", "9", "--output", "/none/x"], "No such file or directory"),
    ],
)
def test_wrong_use_is_one_line(arguments: list[str], message: str, capsys: Output) -> None:
    assert cli.main(arguments) == 2
    assert message in error(capsys)


def test_bad_prefix(path: str, capsys: Output) -> None:
    assert cli.main(["validate", "192.0.2.1/24", "1", "--vrps", path]) == 2
    assert "host bits are set" in error(capsys)


def test_a_terminal_on_stdin_is_no_input(path: str, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert cli.main(["validate", "--vrps", path]) == 2
    assert "lines on stdin" in error(capsys)


def test_bad_rows(bad: str, capsys: Output) -> None:
    assert cli.main(["validate", "192.0.2.0/24", "64496", "--vrps", bad]) == 2
    assert "row 4: asn 'AS'" in error(capsys)
    assert cli.main(["validate", "192.0.2.0/24", "64496", "--vrps", bad, "--no-strict"]) == 0
    out, err = capsys.readouterr()
    assert "valid" in out
    assert err.startswith(f"rov: {bad}: 1 bad rows left out, first roas row 4: asn 'AS'")


def test_info(path: str, capsys: Output) -> None:
    assert cli.main(["info", path]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:]]
    facts = {line[0]: line[1] for line in lines}
    assert facts["format"] == "rpki-client JSON"
    assert facts["VRPs"] == "3 (2 IPv4, 1 IPv6)"
    assert facts["expires"] == "2025-07-25T14:17:38Z to 2025-07-27T04:28:10Z"
    assert facts["ASPAs"] == "1"


def test_info_in_json(bad: str, path: str, capsys: Output) -> None:
    assert cli.main(["info", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "format": "rpki-client JSON",
        "generated": "2025-07-20T09:31:33Z",
        "vrps": {"total": 3, "ipv4": 2, "ipv6": 1, "rows": 3, "as0": 1},
        "asns": 2,
        "prefixes": 2,
        "trust_anchors": {"ripe": {"ipv4": 2, "ipv6": 0}, "apnic": {"ipv4": 0, "ipv6": 1}},
        "aspas": 1,
        "router_keys": 0,
        "expires": {"first": "2025-07-25T14:17:38Z", "last": "2025-07-27T04:28:10Z", "not_stated": 1},
        "skipped": {"count": 0, "first": []},
    }
    assert cli.main(["info", bad, "--json", "--no-strict"]) == 0
    skipped = json.loads(capsys.readouterr().out)["skipped"]
    assert skipped["count"] == 1
    assert skipped["first"][0].startswith("roas row 4: asn 'AS'")


@pytest.mark.parametrize("suffix", [".json", ".json.gz", ".json.zst"])
def test_synth(tmp_path: Path, suffix: str, capsys: Output) -> None:
    names = [str(tmp_path / f"{number}{suffix}") for number in range(2)]
    for name in names:
        assert cli.main(["synth", "vrps", "--count", "500", "--seed", "3", "--output", name]) == 0
    assert capsys.readouterr() == ("", "")
    assert rov.formats.read(names[0]) == vrps(500, 3)
    assert Path(names[0]).read_bytes() == Path(names[1]).read_bytes()


def test_synth_to_stdout_says_that_it_is_synthetic(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert cli.main(["synth", "vrps", "--count", "5", "--output", "-"]) == 0
    document = json.loads(capfdbinary.readouterr().out)
    assert document["metadata"]["buildmachine"] == "synthetic"
    assert document["metadata"]["synthetic"] is True
    assert len(document["roas"]) == 5


def test_help_and_version(capsys: Output) -> None:
    assert cli.main(["--help"]) == 0
    assert "validate" in capsys.readouterr().out
    assert cli.main([]) == 2
    assert "Usage: rov" in capsys.readouterr().err


def test_no_command_imports_pandas(path: str) -> None:
    """pyarrow would, where it is installed: that takes longer than what the command does."""
    code = "import sys, rov_command; code = rov_command.main(); sys.exit(code or ('pandas' in sys.modules))"
    parquet = str(Path(path).with_suffix(".parquet"))
    command = [sys.executable, "-c", code, "convert", path, "--to", "parquet", "--output", parquet]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path(parquet).stat().st_size


def run(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rov", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_broken_pipe_is_quiet() -> None:
    process = run("synth", "vrps", "--count", "20000", "--output", "-")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141
    process.stderr.close()


def test_an_interrupt_is_quiet(path: str, tmp_path: Path) -> None:
    fifo = tmp_path / "routes"
    os.mkfifo(fifo)
    process = run("validate", "--vrps", path, "--input", str(fifo))
    with open(fifo, "wb", buffering=0) as routes:
        # it has opened the other end, so it is past its start and reads
        routes.write(b"192.0.2.0/24 1\n")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("module", ["numpy", "click"])
@pytest.mark.parametrize("command", [[rov_command.__file__], ["-m", "rov"], ["-X", "dev", "-m", "rov"]])
def test_ctrl_c_before_the_command_is_there(command: list[str], module: str, tmp_path: Path) -> None:
    """While the library or the command is imported; a module that this takes long is put in their way."""
    (tmp_path / f"{module}.py").write_text(
        "import pathlib, time\npathlib.Path(__file__).with_name('in').touch()\ntime.sleep(60)\n"
    )
    started = subprocess.Popen(
        [sys.executable, *command, "info", "x"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stderr=subprocess.PIPE,
        # as at a terminal: what runs tests in the background may ignore it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with started:
        deadline = time.monotonic() + 20
        while not (tmp_path / "in").exists():
            assert time.monotonic() < deadline, "the module is imported"
            time.sleep(0.02)
        started.send_signal(signal.SIGINT)
        assert started.communicate(timeout=60)[1] == b""
    assert started.returncode == 130
