"""Lists of sources: the examples of RFC 8704, laws over random worlds, and the command over a real format."""

import ipaddress
import json
import os
import subprocess
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov import ArgumentError, Aspa, Prefix, Snapshot, Vrp, rib
from rov.audit.sav import ALGORITHMS, bar_sav, efp_a, efp_b, procedure_x, strict
from rov.audit.sav_heard import Interface, Learnt, learn
from rov.cli import main
from rov.routers.sav import SAV_ROUTERS, source_filters, source_list
from tests import mrt_writer as mrt
from tests.unit.test_routers import braces

P = {n: f"10.{n}.0.0/16" for n in range(1, 9)}


def dump(path, *routes):
    """An MRT dump of routes as (prefix, path), each heard from the first AS of its path."""
    peers = sorted({way[0] for _, way in routes})
    octets = mrt.peer_table(*((f"192.0.2.{n}", asn) for n, asn in enumerate(peers, 1)))
    for prefix in dict.fromkeys(prefix for prefix, _ in routes):
        entries = [mrt.entry(peers.index(way[0]), mrt.path(*way)) for p, way in routes if p == prefix]
        octets += mrt.rib(4 if ":" in prefix else 2, prefix, *entries)
    path.write_bytes(octets)
    return path


@pytest.fixture
def lists(tmp_path, capsys):
    """The prefixes of each interface, of an algorithm over routes; interfaces are AS2 and AS3."""

    def run(algorithm, *routes, snapshot=None, more=("--interface", "if2=AS2", "--interface", "if3=AS3")):
        table = dump(tmp_path / "rib.mrt", *routes)
        words = ["sav", "build", table, "--algorithm", algorithm, *more, "--json"]
        if snapshot is not None:
            snapshot.save(tmp_path / "vrps")
            words += ["--vrps", tmp_path / "vrps"]
        assert main([*map(str, words)]) == 0
        document = json.loads(capsys.readouterr().out)
        found = {name: set() for name in document["summary"]["interfaces"]}
        for row in document["rows"]:
            found[row["interface"]].add(row["prefix"])
        return found

    return run


SCENARIO_1 = [(P[1], (1,)), (P[2], (3, 1))]
"""RFC 8704 figure 1, at AS2: the customer AS1 announces P1 to AS2, and P2 to AS3, a peer of AS2."""

AT_AS2 = ("--interface", "if1=AS1")

SCENARIO_3 = [(P[1], (2, 1)), (P[2], (3, 1)), (P[3], (5, 1))]
"""RFC 8704 figure 3, at AS4: P1 came by the customer AS2, P2 by the customer AS3, P3 by the peer AS5."""

SCENARIO_4 = [(P[1], (3, 1)), (P[2], (3, 1)), (P[4], (2,))]
"""RFC 8704 figure 4, at AS4: AS1 asks AS2 to export nothing, so that P1 and P2 come by AS3 only, and packets
by AS2 as well. P4 is AS2's own."""


def test_figure_1_feasible_paths_fail_and_enhanced_ones_work(lists):
    assert lists("strict", *SCENARIO_1, more=AT_AS2) == {"if1": {P[1]}}
    for algorithm in ("efp-a", "efp-b"):
        assert lists(algorithm, *SCENARIO_1, more=AT_AS2) == {"if1": {P[1], P[2]}}


@pytest.mark.parametrize("preferred", ["the customer route", "the shorter path"])
def test_figure_2_what_a_peer_prefers_does_not_matter(lists, preferred):
    """AS1 prepends P2 to AS2 and P1 to AS3: whether AS3 sends its own route of P1 or has that of AS2."""
    routes = [(P[1], (1,)), (P[2], (1, 1, 1)), (P[2], (3, 1))]
    if preferred == "the customer route":
        routes.append((P[1], (3, 1, 1, 1)))
    interfaces = (*AT_AS2, "--interface", "if3=AS3")
    for algorithm in ("efp-a", "efp-b"):
        assert lists(algorithm, *routes, more=interfaces) == {"if1": {P[1], P[2]}, "if3": {P[1], P[2]}}


def test_figure_3_all_prefixes_of_the_origin_on_both_interfaces(lists):
    assert lists("strict", *SCENARIO_3) == {"if2": {P[1]}, "if3": {P[2]}}
    every = {P[1], P[2], P[3]}
    assert lists("efp-a", *SCENARIO_3) == lists("efp-b", *SCENARIO_3) == {"if2": every, "if3": every}


def test_figure_4_only_algorithm_b_lets_in_what_came_by_another_customer(lists):
    assert lists("efp-a", *SCENARIO_4) == {"if2": {P[4]}, "if3": {P[1], P[2]}}
    joint = {P[1], P[2], P[4]}
    assert lists("efp-b", *SCENARIO_4) == {"if2": joint, "if3": joint}


def vrp(text, asn, most=None):
    prefix = Prefix.parse(text)
    return Vrp(prefix, most or prefix.length, asn)


def test_figure_4_aspas_and_roas_tell_what_no_route_does(lists):
    """BAR-SAV: AS1 attests both as providers, and has a ROA for P5, which it announces nowhere."""
    snapshot = Snapshot.build(
        *(Snapshot.from_vrps([vrp(P[5], 1), vrp(P[6], 9), vrp("10.7.0.0/16", 0)]).ipv4, None),
        aspas=[Aspa(1, (2, 3)), Aspa(9, (8,)), Aspa(8, (0,))],
    )
    found = lists("bar-sav", *SCENARIO_4, snapshot=snapshot)
    assert found == {"if2": {P[1], P[2], P[4], P[5]}, "if3": {P[1], P[2], P[5]}}
    assert lists("procedure-x", *SCENARIO_4, snapshot=snapshot) == {"if2": {P[5]}, "if3": {P[5]}}


def test_a_prefix_of_two_origins_counts_for_both_in_a(lists):
    """Step 3 asks where prefixes of the set came in, by whatever origin."""
    routes = [(P[1], (2, 10)), (P[1], (3, 11)), (P[2], (5, 11))]
    assert lists("efp-a", *routes)["if2"] == {P[1], P[2]}


def test_an_as_set_and_prepending(lists, tmp_path, capsys):
    assert lists("strict", (P[1], (2, 2, 2, 1)), (P[1], (3, 7, 1))) == {"if2": set(), "if3": {P[1]}}
    octets = mrt.peer_table(("192.0.2.1", 2))
    attrs = mrt.attributes(mrt.segment(mrt.SEQUENCE, 2) + mrt.segment(mrt.SET, 7, 8))
    (tmp_path / "set.mrt").write_bytes(octets + mrt.rib(2, P[1], mrt.entry(0, attrs)))
    for algorithm in ("strict", "efp-a", "efp-b"):
        words = ["sav", "build", str(tmp_path / "set.mrt"), "--algorithm", algorithm, "--json"]
        assert main([*words, "--interface", "if2=192.0.2.1", "--also", "if2=10.99.0.0/30"]) == 0
        rows = json.loads(capsys.readouterr().out)["rows"]
        assert [(row["prefix"], row["source"], row["via_asn"]) for row in rows] == [
            (P[1], "bgp", None),
            ("10.99.0.0/30", "local", None),
        ]


KEYS = st.integers(1, 6).map(lambda n: (4, n << 24, 8))
ORIGINS = st.integers(0, 5)
EDGES = st.frozensets(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=8)
HEARD = st.frozensets(st.tuples(KEYS, ORIGINS, st.integers(1, 3)), max_size=5)


@st.composite
def worlds(draw):
    heard = tuple(draw(st.lists(HEARD, min_size=1, max_size=3)))
    elsewhere = {n: draw(st.frozensets(KEYS, max_size=3)) for n in range(1, 6)}
    edges = tuple(draw(EDGES) for _ in heard)
    neighbors = tuple(frozenset({6 + n}) for n in range(len(heard)))
    return Learnt.of(heard, neighbors, edges, elsewhere)


VRPS = st.frozensets(
    st.builds(partial(Vrp), KEYS.map(lambda key: Prefix(*key)), st.just(8), st.integers(0, 9))
)
ASPAS = st.lists(
    st.builds(Aspa, st.integers(1, 9), st.frozensets(st.integers(1, 9), min_size=1).map(tuple)), max_size=5
)


@given(worlds())
def test_strict_lies_in_a_and_a_in_b(learnt):
    none = Snapshot.empty()
    for narrow, middle, wide in zip(*(run(learnt, none) for run in (strict, efp_a, efp_b)), strict=True):
        assert narrow.keys() <= middle.keys() <= wide.keys()


@given(worlds(), VRPS, ASPAS, VRPS, ASPAS)
def test_a_new_roa_or_aspa_never_shrinks_a_list(learnt, vrps, aspas, more_vrps, more_aspas):
    def snapshot(rows, attested):
        return Snapshot.build(Snapshot.from_vrps(rows).ipv4, None, aspas=attested)

    before, after = snapshot(vrps, aspas), snapshot(vrps | more_vrps, aspas + more_aspas)
    for run in ALGORITHMS.values():
        for old, new in zip(run(learnt, before), run(learnt, after), strict=True):
            assert old.keys() <= new.keys()
    for narrow, wide in zip(procedure_x(learnt, after), bar_sav(learnt, after), strict=True):
        assert narrow.keys() <= wide.keys()


@given(st.lists(st.tuples(st.integers(0, 31), st.integers(27, 32)), max_size=12))
def test_joined_prefixes_hold_the_same_addresses(rows):
    texts = [str(ipaddress.ip_network((f"192.0.2.{n}", length), strict=False)) for n, length in rows]
    made = source_list("eth1", texts).ipv4
    every = [host for network in made for host in network]
    assert set(every) == {host for text in texts for host in ipaddress.ip_network(text)}
    assert len(every) == len(set(every)), "nft takes no intervals that overlap"


@pytest.mark.parametrize("router", ["junos", "iosxr", "eos"])
def test_what_no_program_checks_here_is_whole(router):
    lists = [source_list("ge-0/0/1.7", ["192.0.2.0/24", "2001:db8::/32"]), source_list("eth2", [])]
    text = source_filters(router, lists)
    assert (braces(text) > 0) == (router == "junos")
    for word in ("192.0.2.0/24", "2001:db8::/32", "ge_0_0_1_7", "fe80::/10"):
        assert word in text
    assert text.count("discard;" if router == "junos" else " deny ip") >= 4
    # a router adds what it is given to a list of the same name, unless it is told to begin anew
    lines = text.splitlines()
    starts = ("prefix-list ", "filter ge", "filter eth") if router == "junos" else ("ip",)
    begun = [at for at, line in enumerate(lines) if line.lstrip().startswith(starts)]
    assert len(begun) == (8 if router == "junos" else 4)
    for at in begun:
        assert lines[at - 1] == ("replace:" if router == "junos" else f"no {lines[at]}")


def test_nft_takes_a_large_list(program, tmp_path):
    # the kernel lets root alone have the buffer that a long list takes
    root = os.geteuid() == 0
    prefixes = [f"10.{n >> 7}.{(n & 127) * 2}.0/24" for n in range(20_000 if root else 2_000)]
    prefixes += [f"2001:db8:{n:x}::/48" for n in range(999)]
    (tmp_path / "rules").write_text(source_filters("nftables", [source_list("eth1", prefixes)]))
    command = ["unshare", "-n" if root else "-rn", program("nft"), "-c", "-f", str(tmp_path / "rules")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing option '--interface'"),
        (["--interface", "eth1"], "expected NAME=NEIGHBOR"),
        (["--interface", 'eth1"; x=AS1'], "expected NAME=NEIGHBOR"),
        (
            ["--interface", "eth1=AS77"],
            "interface eth1: expected a neighbour on it in the dumps, which have AS2",
        ),
        (["--interface", "a=AS2", "--interface", "a=AS2"], "expected one or more of different names"),
        (["--interface", "a=AS2", "--algorithm", "bar-sav"], "expected --vrps"),
        (["--interface", "a=AS2", "--also", "b=192.0.2.0/24"], "also 'b': expected one of a"),
        (["--interface", "a=AS2", "--also", "a=x"], "expected INTERFACE=PREFIX"),
        (["--interface", "a=AS2", "--format", "eos", "--json"], "expected one of them"),
        (["--interface", "a.1=AS2", "--interface", "a-1=AS2", "--format", "eos"], "the same name of a list"),
    ],
)
def test_wrong_usage(words, said, tmp_path, capsys):
    code = main(["sav", "build", str(dump(tmp_path / "rib", (P[1], (2, 1)))), *words])
    assert (code, said in capsys.readouterr().err) == (2, True)


def test_text_dumps_have_no_paths(tmp_path, capsys):
    (tmp_path / "rib.csv").write_text("prefix,origin\n10.0.0.0/8,1\n")
    assert main(["sav", "build", str(tmp_path / "rib.csv"), "--interface", "a=AS1"]) == 2
    assert "expected an MRT dump" in capsys.readouterr().err


def test_an_empty_list_can_be_an_alarm(tmp_path, capsys):
    Snapshot.build(aspas=[Aspa(1, (2,))]).save(tmp_path / "vrps")
    table = str(dump(tmp_path / "rib", (P[1], (2, 1))))
    words = ["sav", "build", table, "--interface", "a=AS2", "--vrps", str(tmp_path / "vrps")]
    assert main([*words, "--algorithm", "procedure-x", "--fail-on", "empty"]) == 1
    assert main([*words, "--algorithm", "bar-sav", "--fail-on", "empty"]) == 0
    assert main([*words, "--algorithm", "bar-sav", "--format", "nftables"]) == 0
    assert P[1] in capsys.readouterr().out
    with pytest.raises(ArgumentError, match="expected one of nftables"):
        source_filters("ios", [])
    assert set(SAV_ROUTERS) == {"nftables", "junos", "iosxr", "eos"}


@pytest.mark.realdata
def test_a_real_table(data, first_snapshot):
    """Two large neighbours of a real dump as customers: lists within each other, as they have to be."""
    name = data("mrt/pyasn_rib.20140523.0600_firstMB.bz2")
    with rib.open(name, paths=True) as opened:
        learnt = learn([opened], [Interface.parse("a=AS3356"), Interface.parse("b=AS2914")])
    # the same, counted from the table
    table = rib.read_table(name)
    for asn, heard in zip((3356, 2914), learnt.heard, strict=True):
        numbers = [at for at, peer in enumerate(table.peers) if peer.asn == asn]
        carried = np.logical_or.reduce([table.ipv4.carried_by(number) for number in numbers])
        rows = table.ipv4.take(carried)
        prefixes = zip(rows.addresses.tolist(), rows.lengths.tolist(), strict=True)
        assert set(learnt.prefixes.take(heard.rows).keys()) == {(4, *prefix) for prefix in prefixes}
    found = {name: run(learnt, first_snapshot) for name, run in ALGORITHMS.items()}
    assert len(found["strict"][0].keys()) > 1_000
    for at in range(2):
        assert found["strict"][at].keys() < found["efp-a"][at].keys() <= found["efp-b"][at].keys()
        assert found["procedure-x"][at].keys() < found["bar-sav"][at].keys()
