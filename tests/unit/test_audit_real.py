"""Audits of real tables: each verdict beside explain, the counts that are known, every figure adding up."""

from collections import Counter

import numpy as np
import pytest

import rov
from rov import rib
from rov.aspa import AspaIndex, AspaState, Direction
from rov.audit import Impact, coverage_table, impact, judge, verdict_table
from rov.audit.covering import MAX_COVERING, covering_column
from rov.audit.hygiene import Fault, check_vrps
from rov.audit.paths import judge_paths
from rov.audit.verdicts import REASON_WORDS
from rov.reference import read_delegated
from rov.report import Subject, document, sections

pytestmark = pytest.mark.realdata

SAMPLES = 400

FULL = "rib/fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz"
RIS_IPV6 = "rib/riswhoisdump_20241220.IPv6.gz"
YEAR_2015 = "mrt/bgpdump_updates.et-header.2015.gz"
NAMEX = "mrt/namex-bgpd-rib-inet.mrt.gz"
REGISTRIES = ("afrinic", "apnic", "arin", "lacnic", "ripencc")


@pytest.fixture(scope="module")
def index(first_snapshot):
    return rov.VrpIndex(first_snapshot)


@pytest.fixture(scope="module")
def judged(data, index):
    """The verdicts on a table by its name, each read once."""
    known = {}

    def find(name, min_peers=1):
        if name not in known:
            known[name] = rib.read_table(data(name))
        return judge(known[name], index, min_peers=min_peers)

    return find


@pytest.mark.parametrize(
    ("name", "min_peers", "shares"),
    [(RIS_IPV6, 1, (56.0, 4.7, 39.3)), (RIS_IPV6, 10, (59.5, 2.9, 37.6))],
)
def test_the_shares_that_others_found(judged, name, min_peers, shares):
    verdicts = judged(name, min_peers)
    found = [100 * count / len(verdicts) for count in verdicts.counts().values()]
    assert found == pytest.approx(shares, abs=0.05)


@pytest.mark.parametrize("name", [FULL, RIS_IPV6, YEAR_2015, NAMEX])
def test_rows_say_what_explain_says(judged, index, name):
    verdicts = judged(name)
    table = verdict_table(verdicts)
    assert table.num_rows == len(verdicts)
    rows = np.random.default_rng(1).integers(0, table.num_rows, SAMPLES)
    for row in table.take(rows).to_pylist():
        validity = index.explain(row["prefix"], row["origin"] or 0)
        assert (row["state"], row["reason"]) == (validity.state.label, REASON_WORDS[validity.reason])
        assert row["origin"] is not None or row["state"] != "valid"


def test_paths_that_end_in_an_as_set_have_no_origin(judged):
    verdicts = judged(YEAR_2015)
    table = verdict_table(verdicts)
    assert verdicts.table.counts.as_set > 0
    assert table["origin"].null_count == (verdicts.ipv4.routes.origins == 0).sum() > 0


@pytest.mark.parametrize("name", [FULL, RIS_IPV6, YEAR_2015, NAMEX])
def test_figures_add_up(judged, name):
    verdicts = judged(name)
    found = document(Subject(verdicts, (name,), "vrps"), sections(Subject(verdicts, (name,), "vrps")))
    for family in ("ipv4", "ipv6"):
        states, impacts = found["sections"]["verdicts"][family], found["sections"]["impact"][family]
        assert sum(states[state] for state in ("valid", "invalid", "not_found")) == states["routes"]
        assert sum(states["reasons"].values()) == states["invalid"]
        assert sum(impacts["classes"].values()) == impacts["invalid"] == states["invalid"]
        total = found["sections"]["coverage"][family]
        assert (total["routes"], total["invalid"]) == (states["routes"], states["invalid"])
        assert sum(states["space"].values()) == pytest.approx(total["space"])


def test_impact_of_real_routes_by_walking_up(judged):
    """Each sampled invalid route, its prefix shortened bit by bit until a route remains."""
    verdicts = judged(RIS_IPV6, 10)
    part = impact(verdicts)[1]
    table = verdict_table(verdicts)
    remaining: dict[rov.Prefix, list[tuple[int | None, str]]] = {}
    for row in table.filter(np.asarray(verdicts.ipv6.states) != rov.State.INVALID).to_pylist():
        remaining.setdefault(rov.Prefix.parse(row["prefix"]), []).append((row["origin"], row["state"]))
    picked = np.random.default_rng(2).integers(0, len(part.rows), SAMPLES)
    for at in picked.tolist():
        row = table.slice(int(part.rows[at]), 1).to_pylist()[0]
        prefix = rov.Prefix.parse(row["prefix"])
        assert Impact(int(part.classes[at])).label == _walk_up(prefix, row["origin"], remaining)


def _walk_up(prefix, origin, remaining):
    if prefix in remaining:
        return "same_prefix_valid_other_origin"
    for length in range(prefix.length - 1, 0, -1):
        cut = prefix.bits - length
        takers = remaining.get(rov.Prefix(prefix.family, prefix.address >> cut << cut, length))
        if takers:
            state = takers[0][1].replace("_", "")
            same = origin is not None and any(asn == origin for asn, _ in takers)
            return f"{'rescued_same' if same else 'diverted_other'}_origin_{state}"
    return "unreachable"


@pytest.mark.parametrize("by", ["country", "registry"])
def test_countries_and_registries_add_up_to_the_table(judged, data, by):
    delegations = read_delegated(
        [data(f"rir/delegated-{name}-extended_iptocc2.1.2.xz") for name in REGISTRIES]
    )
    rows = coverage_table(judged(RIS_IPV6), by, delegations).to_pylist()
    (total,) = (row for row in rows if row["total"] and row["family"] == 6)
    for name in ("routes", "valid", "invalid", "not_found", "space", "space_valid"):
        parts = sum(row[name] for row in rows if not row["total"] and row["family"] == 6)
        assert parts == pytest.approx(total[name])


def test_the_vrps_that_cover_real_routes(judged, index):
    verdicts = judged(RIS_IPV6)
    column = covering_column((verdicts.ipv4, verdicts.ipv6), index.snapshot)
    prefixes = verdict_table(verdicts)["prefix"]
    for at in np.random.default_rng(3).integers(0, len(column), SAMPLES).tolist():
        covering = [str(vrp) for vrp in index.covering(prefixes[at].as_py())]
        listed = column[at].as_py()
        assert len(listed) == min(len(covering), MAX_COVERING)
        assert set(listed) <= set(covering)


def test_a_loose_vrp_leaves_open_what_nobody_announces(judged):
    checked = check_vrps(judged(RIS_IPV6))[1]
    announced = {
        (row["prefix"], row["origin"]) for row in verdict_table(judged(RIS_IPV6)).to_pylist() if row["origin"]
    }
    loose = np.flatnonzero(checked.faults & np.uint16(Fault.LOOSE))
    assert len(loose) > 1000
    for row in np.random.default_rng(4).choice(loose, SAMPLES).tolist():
        asn = int(checked.vrps.asn[row])
        assert (checked.exposed[row], asn) not in announced


def test_aspa_verdicts_on_real_paths(data, index):
    """Entry by entry, beside AspaIndex.verify on the path of each."""
    path = data(NAMEX)
    with rib.open(path, paths=True) as dump:
        [batch] = list(dump)
    paths, rows = batch.attributes.paths, batch.attribute_rows.tolist()
    asns = [tuple(paths.asns[a:b].tolist()) for a, b in zip(paths.offsets, paths.offsets[1:], strict=False)]
    customers = Counter(path[-1] for path in asns if len(path) > 1)
    # each other origin attests its neighbor, or an AS that is not there
    aspas = [
        rov.Aspa(asn, (next(p[-2] for p in asns if len(p) > 1 and p[-1] == asn) if asn % 2 else 64496,))
        for asn, _ in customers.most_common(60)
        if asn != 64496
    ]
    snapshot = rov.Snapshot.from_vrps(list(index.snapshot)[:1000], aspas=aspas)
    verdicts = judge(rib.read_table(path), rov.VrpIndex(snapshot))
    with rib.open(path, paths=True) as dump:
        found = judge_paths(verdicts, [dump], Direction.UPSTREAM)
    aspa = AspaIndex(snapshot)
    expected: Counter[tuple[str, int, int]] = Counter()
    prefixes = [
        str(rov.Prefix(4, int(a), int(n)))
        for a, n in zip(batch.routes.addresses, batch.routes.lengths, strict=True)
    ]
    for prefix, origin, row in zip(prefixes, batch.routes.origins.tolist(), rows, strict=True):
        state = aspa.verify(asns[row], Direction.UPSTREAM, as_set=bool(paths.as_sets[row]))
        expected[prefix, origin, state] += 1
    table = verdict_table(verdicts).to_pylist()
    counted = {
        (row["prefix"], row["origin"] or 0, state): int(found.ipv4[at, state])
        for at, row in enumerate(table)
        for state in AspaState
        if found.ipv4[at, state]
    }
    assert counted == expected
    assert len({state for *_, state in counted}) == 3
