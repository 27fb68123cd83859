"""Configurations for routers: the real programs load them, and what is wrong is refused."""

import datetime
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import rov
from rov import ArgumentError, Snapshot
from rov.cli import main
from rov.routers import ROLES, ROUTERS, Cache, Neighbor, configure

CACHES = ("127.0.0.1:1", "[::1]:1")
"""Nobody listens there: bgpd of FRR connects even when it only checks."""

VRPS = rov.read_bytes(
    b"ASN,IP Prefix,Max Length,Trust Anchor\n"
    b"AS64496,192.0.2.0/24,25,ripe\nAS0,198.51.100.0/24,24,apnic\nAS64496,2001:db8::/32,48,arin\n",
    "vrps.csv",
).snapshot
CASES = [
    (router, role, static, sessions)
    for router, kind in ROUTERS.items()
    for role in kind.roles
    for static in ([False, True] if kind.static else [False])
    for sessions in (False, True)
]


def of_one_anchor(name):
    plain = Snapshot.from_vrps(VRPS.vrps())
    return Snapshot.build(plain.ipv4, plain.ipv6, trust_anchors=[name])


def made(router, role, static, sessions, **more):
    outside = "=64500" if role == "ibgp" else "=64507"
    return configure(
        router,
        64500,
        caches=() if static else CACHES,
        vrps=VRPS if static else None,
        role=role,
        neighbors=[f"192.0.2.7{outside}", f"2001:db8::7{outside}"] if sessions else (),
        router_id="192.0.2.9",
        **more,
    )


def loads(command, text, tmp_path):
    """What the program says of a configuration that it takes."""
    file = tmp_path / "router.conf"
    file.write_text(text)
    file.chmod(0o600)
    ended = subprocess.run(
        [*command, str(file)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def refuses(command, text, tmp_path):
    with pytest.raises(AssertionError):
        loads(command, text, tmp_path)


def of(*routers):
    return pytest.mark.parametrize(
        ("router", "role", "static", "sessions"), [case for case in CASES if case[0] in routers]
    )


@of("bird2")
def test_bird_loads_it(router, role, static, sessions, program, tmp_path):
    command = [program("bird"), "-p", "-c"]
    (text,) = made(router, role, static, sessions).values()
    loads(command, text, tmp_path)
    refuses(command, text.replace("roa_check", "roa_chek", 1), tmp_path)


@of("openbgpd")
def test_openbgpd_loads_it(router, role, static, sessions, program, tmp_path):
    command = [program("bgpd of OpenBGPD"), "-n", "-f"]
    (text,) = made(router, role, static, sessions).values()
    loads(command, text, tmp_path)
    refuses(command, text.replace("ovs invalid", "ovs inwalid", 1), tmp_path)


@of("frr8")
def test_frr_loads_it(router, role, static, sessions, program, tmp_path):
    """vtysh knows the commands, bgpd what they mean; bgpd ends with 0 always, so its words count."""
    (text,) = made(router, role, static, sessions).values()
    assert loads([program("vtysh"), "-C", "-f"], text, tmp_path) == ""
    refuses(
        [program("vtysh"), "-C", "-f"], text.replace("match rpki invalid", "match rpki infalid"), tmp_path
    )
    checks = [program("bgpd of FRR"), "-C", "-S", "-M", "rpki", "-f"]
    said = loads(checks, text, tmp_path)
    assert "config line" not in said
    assert "RTR_MGR" in said, "the module for RPKI is loaded"
    assert "config line" in loads(checks, text.replace("match rpki", "match rpky"), tmp_path)


def test_frr_10_differs_in_how_it_names_a_cache():
    (old,), (new,) = (made(name, "transit", False, True).values() for name in ("frr8", "frr10"))
    assert " rpki cache 127.0.0.1 1 preference 1\n" in old
    assert " rpki cache tcp 127.0.0.1 1 preference 1\n" in new
    assert new.splitlines()[1:] == old.replace("rpki cache ", "rpki cache tcp ").splitlines()[1:]


def braces(text):
    """How deep the braces go; they have to close, and never before they open."""
    depth = deepest = 0
    for sign in re.sub(r'"[^"]*"|/\*.*?\*/|#[^\n]*', "", text, flags=re.DOTALL):
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
        deepest = max(deepest, depth)
    assert depth == 0
    return deepest


@of("junos", "sros", "iosxr", "eos")
def test_what_no_program_checks_here_is_whole(router, role, static, sessions):
    (text,) = made(router, role, static, sessions).values()
    assert (braces(text) > 0) == (router in ("junos", "sros"))
    for cache in () if static else ("127.0.0.1", "::1"):
        assert cache in text
    assert ("2001:db8::7" in text) == sessions
    if router == "junos":
        assert not re.search(r"[^;{}\s/]\s*$", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL), re.MULTILINE)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_state_leaves_in_a_community(case):
    comments = re.compile(r"^\s*[#!].*$|/\*.*?\*/", re.MULTILINE | re.DOTALL)
    for text in made(*case).values():
        assert "communit" not in comments.sub("", text)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case[0] not in ("openbgpd", "arouteserver")], ids=str
)
def test_routes_that_came_in_are_kept(case):
    """RFC 9324; bgpd of OpenBGPD keeps them always."""
    words = {
        "bird2": "import table on",
        "frr8": "soft-reconfiguration inbound",
        "frr10": "soft-reconfiguration inbound",
        "iosxr": "soft-reconfiguration inbound rpki-dropped-only",
        "eos": "rib-in pre-policy retain",
        "junos": "RFC 9324",
        "sros": "RFC 9324",
    }
    assert words[case[0]] in "".join(made(*case).values())


CLIENTS = """
asns:
  AS64507:
    as_sets: []
clients:
  - asn: 64507
    ip: ["192.0.2.7", "2001:db8::7"]
"""
LOGGING = """
[loggers]
keys=root
[handlers]
keys=stderr
[formatters]
keys=
[logger_root]
level=WARNING
handlers=stderr
[handler_stderr]
class=StreamHandler
args=(sys.stderr,)
"""
OFFLINE = """
    irrdb:
      enforce_origin_in_as_set: False
      enforce_prefix_in_as_set: False
      tag_as_set: False
    never_via_route_servers:
      peering_db: False
    max_prefix:
      peering_db:
        enabled: False
"""


def arouteserver(daemon, version, files, tmp_path, missing, local=False):
    """The configuration of a route server that arouteserver makes of general.yml and clients.yml."""
    tool = Path(sys.executable).with_name("arouteserver")
    if not tool.is_file():
        missing("arouteserver is not installed beside Python")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    templates = Path(importlib.util.find_spec("pierky.arouteserver").origin).with_name("templates")
    (tmp_path / "cfg.yml").write_text(f"templates_dir: {templates}\ncfg_dir: {tmp_path}\n")
    (tmp_path / "bogons.yml").write_bytes(templates.parent.joinpath("config.d", "bogons.yml").read_bytes())
    (tmp_path / "log.ini").write_text(LOGGING)
    command = [
        str(tool),
        daemon,
        "--cfg",
        "cfg.yml",
        "--target-version",
        version,
        "--cache-dir",
        str(tmp_path),
    ]
    command += ["--general", "general.yml", "--clients", "clients.yml", "--output", "out.conf"]
    command += ["--local-files-dir", str(tmp_path / daemon)] if local else []
    environment = os.environ | {"HOME": str(tmp_path)}
    built = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return (tmp_path / "out.conf").read_text()


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize(
    ("daemon", "version", "check"),
    [("bird", "2.0.11", ["bird", "-p", "-c"]), ("openbgpd", "7.7", ["bgpd of OpenBGPD", "-n", "-f"])],
)
def test_arouteserver_makes_route_servers_of_it(daemon, version, check, static, program, missing, tmp_path):
    vrps = of_one_anchor("ripe")
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    caches, given = ((), vrps) if static else (("127.0.0.1:1",), None)
    files = configure(
        "arouteserver",
        64500,
        caches=caches,
        vrps=given,
        router_id="192.0.2.9",
        directory=str(tmp_path),
        at=now,
    )
    assert len(files) == (2 if static else 3)
    general = files["general.yml"].replace("  filtering:\n", f"  filtering:{OFFLINE}")
    files |= {"general.yml": general, "clients.yml": CLIENTS}
    text = arouteserver(daemon, version, files, tmp_path, missing, local=not static)
    assert bool(re.search("192.0.2.0/24 max(len)? 25", text)) == static
    loads([program(check[0]), *check[1:]], text, tmp_path)


def test_arouteserver_takes_what_rov_convert_writes(missing, tmp_path):
    """As its source of ROAs, a path: the VRPs are in the configuration of the route server."""
    now = int(datetime.datetime.now(datetime.UTC).timestamp())
    rows = [
        {"asn": 64507, "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "apnic", "expires": now + 86_400},
        {"asn": 64508, "prefix": "2001:db8::/32", "maxLength": 48, "ta": "apnic", "expires": now + 86_400},
    ]
    (tmp_path / "in.json").write_text(json.dumps({"metadata": {"generated": now}, "roas": rows}))
    out = tmp_path / "vrps.json"
    arguments = ["--to", "json", "--dialect", "arouteserver", "--output", str(out)]
    assert main(["convert", *arguments, str(tmp_path / "in.json")]) == 0
    vrps = of_one_anchor("apnic")
    files = configure("arouteserver", 64500, caches=(), vrps=vrps, router_id="192.0.2.9",
                      directory=str(tmp_path), at=now)  # fmt: skip
    assert str(out) in files["general.yml"]
    general = files["general.yml"].replace("  filtering:\n", f"  filtering:{OFFLINE}")
    text = arouteserver(
        "openbgpd", "7.7", {"general.yml": general, "clients.yml": CLIENTS}, tmp_path, missing
    )
    assert re.findall(r"(\S+) max(?:len)? (\d+) source-as (\d+)", text) == [
        ("192.0.2.0/24", "25", "64507"),
        ("2001:db8::/32", "48", "64508"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", ":323", "192.0.2.1", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:+1", "192.0.2.1:٣٢٣",
     "2001:db8::1:323", "[192.0.2.1]:323", "[2001:db8::1]", "[fe80::1%eth0]:323",
     "192.0.2.256:323", "-x.net:323", 'a"; reject; ":323', "a b:323", "a\nb:323", "x..net:323",
     "a" * 254 + ":323"],
)  # fmt: skip
def test_a_cache_is_an_address_or_a_host_name_with_a_port(text):
    with pytest.raises(ArgumentError, match="expected HOST:PORT"):
        Cache.parse(text)
    with pytest.raises(ArgumentError):
        configure("bird2", 64500, caches=[text])


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1", "192.0.2.1=", "192.0.2.1=0", "x=1", "192.0.2.1=4294967296", "a=b=1"]
)
def test_a_neighbor_is_an_address_and_an_as(text):
    with pytest.raises(ArgumentError, match="expected ADDRESS=ASN"):
        Neighbor.parse(text)


def test_values_made_by_hand_are_checked_as_texts_are():
    with pytest.raises(ArgumentError):
        configure("bird2", 64500, caches=[Cache('x"; reject; "', 323)])
    with pytest.raises(ArgumentError):
        configure("bird2", 64500, caches=CACHES, neighbors=[Neighbor("x; }", 64507)])
    assert configure("bird2", 64500, caches=[Cache("2001:db8::1", 323)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"router": "ios"}, "expected one of bird2, "),
        ({"asn": 0}, "AS 0: expected an AS number of 1 to"),
        ({"caches": ()}, "expected one or more caches, or VRPs"),
        ({"vrps": VRPS}, "expected one or more caches, or VRPs"),
        ({"router": "frr8", "caches": (), "vrps": VRPS}, "it takes VRPs from a cache only"),
        ({"role": "peer"}, "role 'peer': expected one of transit, ibgp, route-server"),
        ({"router": "iosxr", "role": "ibgp"}, "IOS XR can be transit here"),
        ({"router": "junos", "caches": ["rpki.example.net:323"]}, "Junos takes addresses only"),
        ({"caches": ["192.0.2.1:1", "192.0.2.1:1"]}, "different caches"),
        ({"neighbors": ["192.0.2.7=64500"]}, "with role transit it must not be in AS64500"),
        ({"neighbors": ["192.0.2.7=1", "192.0.2.7=2"]}, "same address"),
        ({"router_id": "0.0.0.0"}, "router id '0.0.0.0': expected"),
        ({"router_id": "::1"}, "router id '::1': expected"),
        ({"templates": "/nowhere"}, "expected a directory"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        configure(**({"router": "bird2", "asn": 64500, "caches": CACHES} | settings))


def test_an_own_template_replaces_that_of_the_package(tmp_path):
    (tmp_path / "bird2.j2").write_text("AS{{ asn }} {{ caches[0].host }}")
    assert configure("bird2", 64500, caches=CACHES, templates=tmp_path) == {"bird.conf": "AS64500 127.0.0.1"}
    assert "deny" in configure("openbgpd", 64500, caches=CACHES, templates=tmp_path)["openbgpd.conf"]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ nothing }}", "template bird2.j2: line 1: 'nothing' is undefined"),
        ("\n{% if %}", "template bird2.j2: line 2: Expected"),
        ("\n\n{{ 1 / 0 }}", "template bird2.j2: line 3: division by zero"),
        ("{{ caches.__class__.__mro__ }}", "template bird2.j2: line 1: access to attribute '__class__'"),
        ("{% include 'more.j2' %}", "template more.j2: found in none of the template directories"),
    ],
)
def test_a_fault_in_a_template_is_told_by_its_line(tmp_path, template, message):
    (tmp_path / "bird2.j2").write_text(template)
    with pytest.raises(ArgumentError, match=re.escape(message)):
        configure("bird2", 64500, caches=CACHES, templates=tmp_path)


def test_the_command(tmp_path, capsys):
    arguments = [
        "--asn",
        "AS64500",
        "--cache",
        "127.0.0.1:1",
        "--cache",
        "[::1]:1",
        "--router-id",
        "192.0.2.9",
    ]
    assert main(["config", "openbgpd", *arguments]) == 0
    assert capsys.readouterr().out == made("openbgpd", "transit", False, False)["openbgpd.conf"]
    assert main(["config", "bird2", *arguments, "--output", str(tmp_path / "x.conf")]) == 0
    assert (tmp_path / "x.conf").read_text() == made("bird2", "transit", False, False)["bird.conf"]
    assert main(["config", "arouteserver", *arguments, "--output", str(tmp_path / "ars")]) == 0
    assert (tmp_path / "ars" / "bird" / "rpki_rtr_config.local").read_text().count("protocol rpki") == 2
    assert main(["config", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*ROUTERS]


def test_the_command_with_vrps(tmp_path, capsys):
    file = tmp_path / "vrps.json"
    file.write_bytes(b"".join(rov.encode(VRPS, "json", at=0)))
    assert main(["config", "junos", "--asn", "64500", "--static", "--vrps", str(file)]) == 0
    assert (
        "record 192.0.2.0/24 { maximum-length 25 { origin-autonomous-system 64496" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bird2"],
        ["bird2", "--asn", "64500"],
        ["bird2", "--asn", "64500", "--static"],
        ["bird2", "--asn", "64500", "--vrps", "x"],
        ["bird2", "--asn", "64500", "--static", "--vrps", "/nowhere"],
        ["arouteserver", "--asn", "64500", "--cache", "127.0.0.1:1"],
    ],
)
def test_wrong_usage_is_one_line(arguments, capsys):
    assert main(["config", *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_every_role_is_some_routers():
    assert {role for kind in ROUTERS.values() for role in kind.roles} == set(ROLES)


def test_the_page(tmp_path, monkeypatch, capsys):
    """Its commands run, and its table has the routers as they are."""
    page = (Path(rov.__file__).parent.parent / "docs" / "router-config.md").read_text()
    monkeypatch.chdir(tmp_path)
    Path("vrps.json").write_bytes(b"".join(rov.encode(VRPS, "json", at=0)))
    commands = re.findall(r"^ *rov config (\S+ .*)$", page, re.MULTILINE)
    assert len(commands) == 5
    for command in commands:
        assert main(["config", *shlex.split(command)]) == 0, capsys.readouterr().err
    for name, kind in ROUTERS.items():
        static = "yes" if kind.static else "no"
        assert f"| `{name}` | {', '.join(kind.roles)} | {static} |" in page
