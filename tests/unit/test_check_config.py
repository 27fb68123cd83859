"""``rtr-server check-config``, the example configuration, the unit files, and that no key is undocumented."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rtr_server
from rtr_server.config import read_config
from rtr_server.config.reference import reference, undocumented

ROOT = Path(rtr_server.__file__).parent.parent
EXAMPLE = ROOT / "contrib" / "rtr-server.toml"
UNITS = ROOT / "contrib" / "systemd"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "rtr_server", "check-config", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "x.toml"
        path.write_text(text)
        return path

    return write


SOURCE = '[[source]]\ntype = "file"\npath = "vrps.json"\n'


def test_what_would_be_served_where(file, tmp_path):
    text = """
[[client]]
prefix = "192.0.2.0/24"
max_version = 1
[[client]]
prefix = "::/0"
allow = false
[control]
socket = "c.sock"
"""
    ended = run(file(SOURCE + text))
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in ended.stdout.splitlines()]
    for expected in (
        ["listen", "127.0.0.1:8323 over tcp"],
        ["listen", "[::1]:8323 over tcp, if there is such an address"],
        ["client", "192.0.2.0/24 allowed, max_version 1"],
        ["client", "::/0 refused"],
        ["source", f"{tmp_path / 'vrps.json'}"],
        ["timers", "refresh 1h, retry 10m, expire 2h"],
        ["control", f"{tmp_path / 'c.sock'}, mode 0600"],
    ):
        assert expected in lines
    answer = json.loads(run(file(SOURCE + text), "--json").stdout)
    assert answer["ok"] is True
    assert answer["plan"]["client"] == ["192.0.2.0/24 allowed, max_version 1", "::/0 refused"]


def test_where_http_would_be_served(file, tmp_path):
    assert "http      off: http.listen turns it on" in run(file(SOURCE)).stdout
    (tmp_path / "token").write_text("0123456789abcdef")
    (tmp_path / "rib").touch()
    text = '[http]\nlisten = ["127.0.0.1:80", "[::1]:80"]\ntoken = "token"\nrib = ["rib"]\n'
    assert [line for line in run(file(SOURCE + text)).stdout.splitlines() if line.startswith("http ")] == [
        "http      127.0.0.1:80 over HTTP, with a token",
        "http      [::1]:80 over HTTP, with a token",
        f"http      routes of {tmp_path / 'rib'}",
    ]
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("none")
    text = '[http]\nlisten = ["127.0.0.1:80"]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
    ended = run(file(SOURCE + text))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "http.certificate" in ended.stderr
    assert "expected PEM" in ended.stderr


def test_every_fault_and_exit_code_2(file):
    path = file('[log]\nlevle = "x"\n[timers]\nexpire = 5\n[[listen]]\n')
    ended = run(path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines() == [
        f"rtr-server: {path}: line 2: log.levle: unknown key, is it level?",
        f"rtr-server: {path}: line 4: timers.expire: 5: expected 600 to 172800 seconds",
        f"rtr-server: {path}: line 5: listen[1].address: expected either address or systemd",
    ]
    answer = json.loads(run(path, "--json").stdout)
    assert answer["ok"] is False
    assert answer["problems"][0] == {
        "key": "log.levle",
        "line": 2,
        "text": "unknown key, is it level?",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "source: expected a [[source]] at least"),
        (SOURCE + "[control]\ngroup='none such'", "line 5: control.group: 'none such': no such group"),
        (
            SOURCE + "[[listen]]\naddress='[::]:1'\n[listen.tls]\ncertificate='no'\nkey='x.toml'\n"
            "client='none'\n",
            "line 7: listen[1].tls.certificate: ",
        ),
        (
            SOURCE + "[[listen]]\naddress='[::]:1'\n[listen.tls]\ncertificate='x.toml'\nkey='x.toml'\n"
            "client='none'\n",
            "listen[1].tls: ",
        ),
    ],
)
def test_what_is_wrong_with_the_world(file, text, expected):
    ended = run(file(text))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert expected in line


def test_no_file(tmp_path):
    ended = run(tmp_path / "none.toml")
    assert (ended.returncode, ended.stderr) == (
        2,
        f"rtr-server: {tmp_path / 'none.toml'}: No such file or directory\n",
    )
    assert run().returncode == 2


# The example and the reference


def test_the_example_is_read():
    config = read_config(EXAMPLE)
    assert [listen.name for listen in config.listen] == ["0.0.0.0:323", "[::]:323"]
    assert str(config.control.path) == "/run/rtr-server/control.sock"


def test_the_example_is_read_with_all_that_is_commented_out(file):
    """Settings are commented out by # alone, prose by # and a space."""
    text = re.sub(r"^#(?=[\w\[])", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    config = read_config(file(text))
    assert [listen.transport for listen in config.listen] == ["tcp", "tcp", "tls"]
    assert config.log.level == "debug"
    assert not re.search(r"^#[^ ]", text, re.MULTILINE)


# Units


@pytest.fixture
def units(tmp_path):
    """The unit files with a program that exists; they are verified as systemd would load them."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/rtr-server", sys.executable)
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_systemd_takes_the_units(units, program):
    analyze = program("systemd-analyze")
    for name in ("rtr-server.service", "rtr-server.socket"):
        ended = subprocess.run(
            [analyze, "verify", "--man=no", units / name],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        said = [line for line in ended.stderr.splitlines() if "rtr-server" in line]
        assert (ended.returncode, said) == (0, []), ended.stderr


def test_the_service_is_hardened(units, program):
    analyze = program("systemd-analyze")
    ended = subprocess.run(
        [analyze, "security", "--offline=yes", "--threshold=20", units / "rtr-server.service"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-200:]


def test_no_key_is_undocumented():
    assert undocumented() == []


def test_the_reference_is_what_the_source_says():
    """After a change: python -m rtr_server.config.reference > docs/configuration.md"""
    assert (ROOT / "docs" / "configuration.md").read_text() == reference()
