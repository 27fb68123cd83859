"""``rov filter build``: AS-SETs as they expand, entries as they are allowed, and what real routers load."""

import csv
import io
import json
import os
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov import ArgumentError, Prefix, ReferenceFileError, State, VrpIndex
from rov.audit.allow import allow_table
from rov.cli import main
from rov.reference.as_sets import AsSets, Customer, read_as_sets
from rov.reference.rpsl import objects_of, read_irr
from rov.routers.filters import FILTERS, customer_filter, customer_filters
from tests.unit.test_routers import OFFLINE, arouteserver, braces, loads, refuses

VRPS = """ASN,IP Prefix,Max Length,Trust Anchor
AS64511,1.0.0.0/16,20,ripe
AS64511,1.0.0.0/16,32,ripe
AS64599,1.9.0.0/16,16,ripe
AS64513,2001:200::/32,48,ripe
AS64513,1.3.0.0/25,25,ripe
AS0,1.8.0.0/16,16,ripe
"""
IRR = """as-set:  as-cust
members: AS64511, AS64512,
         AS-LOOP # and more
mbrs-by-ref: MNT-CUST
source:  FIRST

as-set: AS-CUST
members: AS666
source: SECOND

as-set: AS-LOOP
members: AS-CUST AS64513 AS-GONE
source: FIRST

aut-num: AS64514
member-of: AS-CUST
mnt-by: MNT-CUST
source: FIRST

aut-num: AS64515
member-of: AS-CUST
mnt-by: MNT-EVIL
source: FIRST

route: 1.0.16.0/20
origin: AS64511

route: 1.2.0.0/16
origin: AS64511

route: 1.9.0.0/16
origin: AS64512

route: 1.8.0.0/16
origin: AS64512

route: 10.0.0.0/8
origin: AS64512

route6: 2001:200::/32
origin: AS64513

route: 1.7.0.0/16
origin: AS64515
"""
CUSTOMER = "AS64511 AS-CUST 192.0.2.7 2001:db8::7"


@pytest.fixture
def build(tmp_path, capsys):
    (tmp_path / "vrps.csv").write_text(VRPS)
    (tmp_path / "irr.db").write_text(IRR)

    def run(*more, customer=CUSTOMER):
        base = ["filter", "build", "--vrps", str(tmp_path / "vrps.csv"), "--irr", str(tmp_path / "irr.db")]
        code = main([*base, *(["--customer", customer] if customer else []), *map(str, more)])
        return code, *capsys.readouterr()

    return run


def sets():
    kept = {"as-set": {"members", "mbrs-by-ref", "source"}, "aut-num": {"member-of", "mnt-by", "source"}}
    return AsSets(objects_of([IRR.encode()], "irr", kept))


def test_an_as_set_expands_through_loops_and_by_reference():
    found = sets().expand(["as-cust"])
    assert found.asns == {64511, 64512, 64513, 64514}
    assert (found.missing, found.ambiguous) == (("AS-GONE",), ("AS-CUST",))
    assert sets().expand(["SECOND::AS-CUST"]).asns == {666}
    assert sets().expand(["THIRD::AS-CUST"]).missing == ("THIRD::AS-CUST",)


def test_an_as_set_of_the_whole_internet_is_no_filter():
    members = ",".join(f"AS{n}" for n in range(1, 2**17 + 2))
    with pytest.raises(ArgumentError, match="no filter for a customer"):
        AsSets([("as-set", 1, {"as-set": ["AS-ALL"], "members": [members]})]).expand(["AS-ALL"])


def test_a_dump_without_as_sets(tmp_path):
    (tmp_path / "route.db").write_text("route: 192.0.2.0/24\norigin: AS1\n")
    with pytest.raises(ReferenceFileError, match="expected as-set objects"):
        read_as_sets([tmp_path / "route.db"])


def test_entries_by_hand(build):
    code, out, err = build("--json")
    document = json.loads(out)
    rows = {(row["origin"], row["prefix"], row["le"], row["source"], row["conflict"])
            for row in document["rows"]}  # fmt: skip
    assert rows == {
        (64511, "1.0.0.0/16", 24, "roa", None),
        (64511, "1.0.16.0/20", 20, "both", None),
        (64511, "1.2.0.0/16", 16, "irr", None),
        (64512, "1.9.0.0/16", 16, "irr", "asn"),
        (64512, "1.8.0.0/16", 16, "irr", "as0"),
        (64512, "10.0.0.0/8", 8, "irr", "bogon"),
        (64513, "2001:200::/32", 48, "both", None),
        (64513, "1.3.0.0/25", 25, "roa", "too_specific"),
    }
    assert (code, document["missing"]) == (0, ["AS-GONE"])
    assert "AS-CUST: several sources have one" in err
    assert document["summary"]["conflicts"] == {"asn": 1, "as0": 1, "bogon": 1, "too_specific": 1}


def test_exit_codes_and_files(build, tmp_path):
    assert build("--fail-on", "conflict")[0] == build("--fail-on", "missing")[0] == 1
    assert build("--fail-on", "empty")[0] == 0
    assert build("--fail-on", "empty", customer="AS64599")[0] == 0
    assert build("--fail-on", "empty", customer="AS65000")[0] == 1
    _, out, _ = build("--output", "-")
    assert next(csv.DictReader(io.StringIO(out)))["prefix"] == "1.0.0.0/16"
    (tmp_path / "customers").write_text("AS64511 AS-CUST # ours\n\nAS64599\n")
    _, out, _ = build("--customers", tmp_path / "customers", "--json", customer=None)
    assert [one["asn"] for one in json.loads(out)["customers"]] == [64511, 64599]


@pytest.mark.parametrize(
    ("more", "customer", "said"),
    [
        ([], None, "expected --customer or --customers"),
        ([], "AS-CUST", "expected AS [AS-SET...] [ADDRESS...]"),
        ([], "AS64511 CUST", "expected a name such as AS-EXAMPLE"),
        (["--customer", "AS64511"], "AS64511", "AS64511: expected each customer once"),
        (["--format", "bird2", "--json"], CUSTOMER, "expected one of them"),
        (["--output", "x.conf"], CUSTOMER, "x.conf: expected a name that ends in .parquet, .csv, .json"),
        (["--format", "arouteserver"], "AS64511", "expected the addresses of each customer"),
        (["--format", "frr", "--templates", "/nonexistent"], CUSTOMER, "expected a directory"),
        (["--irr", "/nonexistent"], CUSTOMER, "/nonexistent: cannot be read"),
    ],
)
def test_wrong_usage(build, more, customer, said):
    code, _, err = build(*more, customer=customer)
    assert code == 2
    assert said in err
    assert err.count("error:") == 1


def test_a_bad_line_of_the_customers_is_named(build, tmp_path):
    (tmp_path / "customers").write_text("AS64511\nno-as\n")
    code, _, err = build("--customers", tmp_path / "customers", customer=None)
    assert (code, "customers: line 2: " in err) == (2, True)
    (tmp_path / "customers").write_text("# nobody yet\n")
    code, _, err = build("--customers", tmp_path / "customers", customer=None)
    assert (code, "customers: expected customers, one a line, found none" in err) == (2, True)


@pytest.mark.parametrize(
    ("router", "command"),
    [("bird2", ["bird", "-p", "-c"]), ("openbgpd", ["bgpd of OpenBGPD", "-n", "-f"]),
     ("frr", ["vtysh", "-C", "-f"])],
)  # fmt: skip
@pytest.mark.parametrize("customer", [CUSTOMER, "AS65000"])
def test_real_routers_load_it(router, command, customer, build, program, tmp_path):
    text = build("--format", router, customer=customer)[1]
    assert ("1.0.0.0/16" in text) == (customer == CUSTOMER)
    head = {"bird2": "protocol device {}\n", "openbgpd": "AS 64500\nrouter-id 192.0.2.9\n", "frr": ""}[router]
    command = [program(command[0]), *command[1:]]
    loads(command, head + text, tmp_path)
    wrong = {
        "bird2": ("return", "retrun"),
        "openbgpd": ("deny from", "dney from"),
        "frr": ("match as-path", "match as-paht"),
    }[router]
    refuses(command, head + text.replace(*wrong), tmp_path)
    if router == "frr":
        checks = [program("bgpd of FRR"), "-C", "-S", "-f"]
        assert "config line" not in loads(checks, text, tmp_path)
        assert "config line" in loads(checks, text.replace("match as-path", "match as-paht"), tmp_path)


@pytest.mark.parametrize("router", ["junos", "sros", "iosxr", "eos"])
def test_what_no_program_checks_here_is_whole(router, build):
    text = build("--format", router)[1]
    assert (braces(text) > 0) == (router in ("junos", "sros"))
    for word in ("1.0.0.0/16", "24", "2001:200::/32", "64511", "64513"):
        assert word in text
    assert "1.9.0.0/16" not in text


def test_nokia_drops_what_is_invalid_in_the_policy_of_the_customer(build):
    """ROV-IN accepts the rest, and the first policy of a chain that accepts is the last one."""
    text = build("--format", "sros")[1]
    policy = text[text.index(' policy-statement "AS64511-IN"') :]
    words = "entry 5 { from { origin-validation-state invalid } action { action-type reject } }"
    assert words in " ".join(policy.split())
    assert '"ROV-IN"' not in text


@pytest.mark.parametrize(
    ("router", "begins", "before"),
    [
        ("junos", r"    (?:as-path-group|policy-statement) \S+ \{", "replace:"),
        (
            "sros",
            r"        (?P<what>(?:prefix-list|as-path-group|policy-statement) \S+) \{",
            "        delete {what}",
        ),
        ("eos", r"(?P<what>ip(?:v6)? prefix-list \S+)", "no {what}"),
    ],
)
def test_what_is_no_longer_in_a_list_goes(router, begins, before, build):
    """A router adds what it is given to a list of the same name, unless it is told to begin anew."""
    lines = build("--format", router)[1].splitlines()
    found = [(n, match) for n, line in enumerate(lines) if (match := re.fullmatch(begins, line))]
    assert len(found) >= 2
    for number, match in found:
        assert lines[number - 1] == before.format(**match.groupdict())


def test_ios_xr_has_no_empty_sets(build):
    text = build("--format", "iosxr", customer="AS65000")[1]
    assert "route-policy AS65000-IN\n  drop\nend-policy" in text
    assert "-set " not in text


ROW = st.tuples(
    st.integers(1, 3),
    st.integers(0, 15).flatmap(
        lambda bits: st.integers(0, 4).map(lambda n: str(Prefix(4, bits >> (4 - n) << (32 - n), n)))
    ),
    st.integers(4, 6),
)


@given(st.lists(ROW, max_size=8))
def test_shorter_lists_allow_the_same(rows):
    """Whatever is allowed by a row is by an entry, by the longest match too (Junos), and nothing else."""
    lists = customer_filter(64496, rows).ipv4

    def within(prefix, length, most, asked):
        shift = 32 - length
        return length <= asked.length <= most and asked.address >> shift == prefix.address >> shift

    for length in range(7):
        for bits in range(1 << length):
            asked = Prefix(4, bits << (32 - length), length)
            rowed = any(within(Prefix.parse(p), Prefix.parse(p).length, most, asked) for _, p, most in rows)
            covers = [e for e in lists if within(Prefix.parse(e.prefix), e.length, 32, asked)]
            longest = max(covers, key=lambda entry: entry.length, default=None)
            assert rowed == any(entry.le >= asked.length for entry in covers)
            assert rowed == (longest is not None and longest.le >= asked.length)


def test_arguments():
    with pytest.raises(ArgumentError, match="expected one of bird2"):
        customer_filters("ios", [])
    with pytest.raises(ArgumentError, match="same AS"):
        customer_filters("frr", [customer_filter(1, []), customer_filter(1, [])])
    with pytest.raises(ArgumentError, match="expected 24 to 32"):
        customer_filter(1, [(1, "192.0.2.0/24", 23)])
    assert Customer.parse("1, AS-X, ::1") == Customer(1, ("AS-X",), ("::1",))
    assert set(FILTERS) >= {"bird2", "openbgpd", "frr", "junos", "iosxr", "eos", "sros", "arouteserver"}


@pytest.mark.parametrize(
    ("daemon", "version", "check"),
    [("bird", "2.0.11", ["bird", "-p", "-c"]), ("openbgpd", "7.7", ["bgpd of OpenBGPD", "-n", "-f"])],
)
def test_arouteserver_takes_the_clients(
    daemon, version, check, build, program, missing, tmp_path, monkeypatch
):
    """It makes a route server of them that enforces our entries; no IRR adds any."""
    (tmp_path / "bgpq4").write_text("#!/bin/sh\necho '{\"prefix_list\": []}'\n")
    (tmp_path / "bgpq4").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    enforcing = OFFLINE.replace("in_as_set: False", "in_as_set: True")
    general = f"cfg:\n  rs_as: 64500\n  router_id: 192.0.2.9\n  filtering:{enforcing}"
    files = {"general.yml": general, "clients.yml": build("--format", "arouteserver")[1]}
    text = arouteserver(daemon, version, files, tmp_path, missing)
    assert "1.0.0.0/16" in text
    assert "1.9.0.0/16" not in text
    loads([program(check[0]), *check[1:]], text, tmp_path)


@pytest.mark.realdata
def test_real_route_objects_and_vrps(data, first_snapshot, tmp_path):
    """Each entry is an object or a VRP by another count; none is RPKI-invalid, what is has a conflict."""
    with tarfile.open(data("irr/ripe_rpki-irr-bgp-stats_testresources.tar.xz")) as archive:
        for name in ("ripe-db-route.txt", "ripe-db-route6.txt"):
            (tmp_path / name).write_bytes(archive.extractfile(f"./{name}").read())
    irr = read_irr(sorted(tmp_path.glob("*.txt")))
    index = VrpIndex(first_snapshot)
    objects = {(vrp.asn, str(vrp.prefix)) for vrp in irr.exact.snapshot.vrps()}
    members = {asn for asn, _ in objects}
    roas = {(vrp.asn, str(vrp.prefix)) for vrp in first_snapshot.vrps() if vrp.asn in members}
    rows = allow_table({64500: members}, index, irr).to_pylist()
    assert {(row["origin"], row["prefix"]) for row in rows} == objects | roas
    assert len(objects) > 100
    assert len(roas) > 100
    seen = set()
    for row in rows:
        key = row["origin"], row["prefix"]
        state = index.validate(row["prefix"], row["origin"])
        seen.add((state, row["conflict"]))
        assert (row["source"] in ("irr", "both")) >= (key not in roas)
        assert state != State.INVALID or row["conflict"]
        assert state == State.INVALID or row["conflict"] not in ("asn", "length", "as0")
    assert {(State.VALID, None), (State.INVALID, "asn"), (State.NOT_FOUND, None)} <= seen
