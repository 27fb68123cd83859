"""The configuration: what is wrong with a file is told by key and line, all of it at once."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtr_server.config import (
    Config,
    ConfigError,
    Problem,
    Section,
    SectionError,
    build_config,
    check,
    read_config,
)
from rtr_server.config.changes import changed_keys
from rtr_server.config.lines import find_lines, line_of
from rtr_server.config.reader import build, read_toml
from rtr_server.config.values import Network, Octal, Octets, Seconds, Share
from rtr_server.endpoint import Endpoint


def problems(tmp_path, text, schema=Config):
    """What is said about a file, a line for each fault."""
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_toml(path, schema)
    assert str(caught.value).startswith(f"{path}: ")
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_file_is_the_default(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("")
    assert read_config(path) == Config() == build_config({})


def test_everything_wrong_is_told_by_line_and_key(tmp_path):
    text = """
[timers]
refresh = "10x"
expire = 5
[log]
levle = "info"
format = "xml"
[[listen]]
adress = "127.0.0.1:1"
[[listen]]
address = 5
[control]
mode = "999"
[nonsense]
"""
    assert problems(tmp_path, text) == [
        'line 3: timers.refresh: \'10x\': expected a time such as "10m", "1h30m" or a number of seconds',
        "line 6: log.levle: unknown key, is it level?",
        "line 7: log.format: 'xml': expected text, json",
        "line 9: listen[1].adress: unknown key, is it address?",
        "line 11: listen[2].address: 5: expected HOST:PORT, as text",
        "line 13: control.mode: '999': expected permissions in octal such as \"0660\", as text",
        f"line 14: nonsense: unknown key: expected {', '.join(Config.__struct_fields__)}",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[timers]\nexpire = 5", "line 2: timers.expire: 5: expected 600 to 172800 seconds"),
        ("[timers]\nrefresh = 1.5", "line 2: timers.refresh: 1s500ms: expected whole seconds"),
        ('timers.refresh = "2h"', "timers.expire: 7200: expected more than refresh 7200 and retry 600"),
        ("timers = 5", "line 1: timers: expected a table, got an integer"),
        ("[listen]\naddress = ''", "line 1: listen: expected a list, got a table"),
        ("[log]\nlevel = true", "line 2: log.level: True: expected debug, info, warning, error"),
        ("[[listen]]\naddress = ':::'\n", "line 2: listen[1].address: ':::': expected HOST:PORT"),
        ("[control]\ngroup = 5", "line 2: control.group: expected text, got an integer"),
        (f"[control]\nsocket = '{'x' * 108}'", "expected a path of at most 107 octets"),
        ("[state]\ndirectory = ''", "line 2: state.directory: '': expected a path, as text"),
        ("[state", "no TOML: Expected ']'"),
        ("x = " + "[" * 5_000, "no TOML: "),
    ],
)
def test_messages(tmp_path, text, expected):
    (only,) = problems(tmp_path, text)
    assert expected in only


def test_files_that_are_no_text(tmp_path):
    path = tmp_path / "x.toml"
    with pytest.raises(ConfigError, match=r"x\.toml: No such file"):
        read_config(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="offset 5: expected UTF-8"):
        read_config(path)
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(ConfigError, match="longer than"):
        read_config(path)


def test_paths_are_relative_to_the_file(tmp_path, monkeypatch):
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "x.toml"
    path.write_text("state.directory = 'here'\ncontrol.socket = '/run/there'")
    monkeypatch.chdir(tmp_path)
    config = read_config(Path("etc/x.toml"))
    assert config.state.directory == tmp_path / "etc" / "here"
    assert config.control.path == Path("/run/there")


def test_the_socket_is_in_the_runtime_directory(monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert Config().control.path is None
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/a:/run/b")
    assert Config().control.path == Path("/run/a/control.sock")


def test_check_looks_at_the_machine(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("""
[control]
group = "no such group"
[[listen]]
address = "127.0.0.1:324"
tls = {certificate = "none.pem", key = "x.toml", client = "none"}
""")
    assert check(read_config(path), path) == [
        Problem("listen[1].tls.certificate", f"{tmp_path / 'none.pem'}: no such file", 6),
        Problem("control.group", "'no such group': no such group", 3),
    ]


class _File(Section, frozen=True, tag_field="type", tag="file"):
    path: Path
    """Where."""


class _Url(Section, frozen=True, tag_field="type", tag="url"):
    url: str
    """Where."""

    interval: Seconds = Seconds(600)
    """How often."""


class _Deep(Section, frozen=True):
    watched: tuple[Network, ...] = ()
    """Prefixes."""

    limit: int | str = 5
    """Either."""

    share: Share = Share(0.5)
    """A share."""

    room: Octets | None = None
    """A size."""

    def __post_init__(self):
        if self.share > 0.9:
            raise SectionError("share", f"{self.share}: too much")


class _Schema(Section, frozen=True):
    source: tuple[_File | _Url, ...] = ()
    """Variants."""

    deep: dict[str, _Deep] = msgspec.field(default_factory=dict)
    """By name."""


def test_all_kinds_of_types(tmp_path):
    text = """
[[source]]
type = "file"
path = "vrps.json"
[[source]]
type = "url"
url = "https://example.net/"
interval = "1h30m"
[deep.a]
watched = ["192.0.2.0/24", "2001:db8::1"]
limit = "none"
share = "0.1%"
room = "64MiB"
"""
    built = build(tomllib.loads(text), _Schema, name="x", base=tmp_path)
    assert built.source == (_File(tmp_path / "vrps.json"), _Url("https://example.net/", Seconds(5_400)))
    deep = built.deep["a"]
    assert [str(each) for each in deep.watched] == ["192.0.2.0/24", "2001:db8::1/128"]
    assert (deep.limit, deep.share, deep.room) == ("none", 0.001, 64 << 20)


def test_variants_and_lists_name_the_entry(tmp_path):
    text = """
source = [{type = "file", path = "x"}, {type = "ftp"}, {}, 5]
[deep.a]
watched = ["192.0.2.0/24", "192.0.2.1/24", 7]
share = 0.95
[deep.b]
share = "95%"
limit = 1.5
[deep."c.d"]
share = "95%"
"""
    assert problems(tmp_path, text, _Schema) == [
        "line 2: source[2].type: type 'ftp': expected file, url",
        "line 2: source[3].type: type is missing: expected file, url",
        "line 2: source[4]: expected a table, got an integer",
        'line 4: deep.a.watched[2]: 192.0.2.1/24 has host bits set: expected a prefix such as "192.0.2.0/24"',
        'line 4: deep.a.watched[3]: 7: expected a prefix such as "192.0.2.0/24", as text',
        "line 8: deep.b.limit: expected an integer or text, got a number",
        "line 10: deep.c.d.share: 95%: too much",
    ]


@pytest.mark.parametrize("value", ["", "10", "m", "-5m", "1h 30m", "1y", True, -1, float("nan"), 1e9, None])
def test_what_is_no_time(value):
    with pytest.raises(ValueError, match="expected a time"):
        Seconds.parse(value)


@pytest.mark.parametrize("value", ["", "64", "64mib", "MiB", "-1B", "0.5B", True, -1, 0.5, float("nan")])
def test_what_is_no_size(value):
    with pytest.raises(ValueError, match="expected a size"):
        Octets.parse(value)


@pytest.mark.parametrize("value", ["", "%", "101%", "-1%", "0.5", 1.01, -0.1, True, float("nan")])
def test_what_is_no_share(value):
    with pytest.raises(ValueError, match="expected a share"):
        Share.parse(value)


@pytest.mark.parametrize("value", ["", "0o660", "0888", 660, "1777", "66"])
def test_what_is_no_mode(value):
    with pytest.raises(ValueError, match="expected permissions"):
        Octal.parse(value)


@given(st.integers(0, 366 * 86_400_000), st.integers(0, 1 << 50), st.integers(0, 0o777))
def test_values_are_read_as_they_are_shown(milliseconds, octets, mode):
    seconds = Seconds(milliseconds / 1_000)
    assert Seconds.parse(str(seconds)) == pytest.approx(seconds)
    assert Octets.parse(str(Octets(octets))) == octets
    assert Octal.parse(str(Octal(mode))) == mode


def test_lines_of_nested_tables():
    text = '''a = 1
[[listen]]
address = "x" # = 5
[listen.tls]
certificate = """
key = 5
"""
key = "y"
[[listen]]
[listen.tls] # second
key = "z"
"odd key".'b' = 1
'''
    lines = find_lines(text)
    assert lines[("a",)] == 1
    assert lines[("listen", 0, "tls", "key")] == 8
    assert lines[("listen", 1, "tls", "key")] == 11
    assert lines[("listen", 1, "tls", "odd key", "b")] == 12
    assert line_of(("listen", 1, "tls", "none"), lines) == 10
    assert line_of(("none",), lines) is None


def test_problems_between_sections_have_their_line(tmp_path):
    text = """
[[client]]
prefix = "192.0.2.0/24"
[[client]]
prefix = "192.0.2.0/24"
"""
    assert problems(tmp_path, text) == ["line 5: client[2].prefix: 192.0.2.0/24: client[1] has it already"]


def test_what_changed_between_two():
    old = build_config({"listen": [{"address": "127.0.0.1:1"}], "log": {"level": "debug"}})
    new = build_config({"listen": [{"address": "127.0.0.1:2"}], "timers": {"refresh": 60}})
    assert changed_keys(old, new) == ["listen", "timers.refresh", "log.level"]
    assert changed_keys(old, old) == []


def test_endpoints_are_typed():
    assert build_config({"listen": [{"address": "[::1]:323"}]}).listen[0].address == Endpoint("::1", 323)
