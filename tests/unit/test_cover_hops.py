"""``rov impact --paths``: how far before the origin of a diverted route what takes over stands in paths."""

import io
import json
import sys

import pytest

from rov import Prefix, Snapshot, Vrp, VrpIndex, cli, rib
from rov.audit import impact_table, judge
from rov.audit.invalid_paths import invalid_paths
from tests import mrt_writer as mrt

PEERS = mrt.peer_table(("192.0.2.1", 10), ("192.0.2.2", 11))


def entries(prefix, *paths):
    """A record with an entry of each peer in turn; a tuple at the end of a path is an AS_SET."""
    made = []
    for peer, path in enumerate(paths):
        *asns, last = path
        ends = mrt.segment(mrt.SET, *last) if isinstance(last, tuple) else mrt.segment(mrt.SEQUENCE, last)
        made.append(mrt.entry(peer, mrt.attributes(mrt.segment(mrt.SEQUENCE, *asns) + ends)))
    return mrt.rib(2, prefix, *made)


DUMP = PEERS + b"".join((
    entries("12.0.0.0/16", (10, 501), (11, 501)),
    entries("12.0.1.0/24", (10, 501, 502), (11, 501, 503, 502)),
    entries("12.0.2.0/24", (10, 501, 501, 503, 503, 502, 502)),
    entries("12.0.3.0/24", (10, 502)),
    entries("12.0.4.0/24", (10, 501, (502, 503))),
    entries("12.0.5.0/24", (11, 503, 501)),
    entries("18.0.0.0/24", (10, 501, 502)),
))  # fmt: skip
HOPS = {
    "12.0.1.0/24": 1, "12.0.2.0/24": 2, "12.0.3.0/24": None, "12.0.4.0/24": 1,
    "12.0.5.0/24": None, "18.0.0.0/24": None,
}  # fmt: skip
"""Of the invalid routes: the last but one is rescued, the last unreachable."""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "rib.mrt").write_bytes(DUMP)
    vrps = [Vrp(Prefix.parse(text), 16, asn) for text, asn in (("12.0.0.0/16", 501), ("18.0.0.0/16", 501))]
    Snapshot.from_vrps(vrps).save(tmp_path / "vrps")
    return tmp_path


def run(files, capsys, name, *more):
    target = files / "out.json"
    target.unlink(missing_ok=True)
    code = cli.main(list(map(str, ["impact", name, "--vrps", files / "vrps", "--output", target, *more])))
    out, err = capsys.readouterr()
    return code, out, err, json.loads(target.read_text()) if target.exists() else None


def test_hops_by_hand(files, capsys):
    code, out, err, rows = run(files, capsys, files / "rib.mrt", "--paths")
    assert (code, err) == (0, "")
    assert {row["prefix"]: row["cover_hops"] for row in rows} == HOPS
    assert "diverted with a path through what takes over: 3 of 4" in out
    assert "  hops" in out
    listed = {line.split()[0]: line.split()[-1] for line in out.splitlines() if line.startswith("12.0.")}
    assert listed == {prefix: str(hops or "-") for prefix, hops in HOPS.items() if prefix < "18"}
    _, out, _, rows = run(files, capsys, files / "rib.mrt")
    assert {row["cover_hops"] for row in rows} == {None}
    assert "goes to" in out
    assert "  hops" not in out


def test_hops_of_one_neighbour_and_of_a_class(files, capsys):
    _, _, _, rows = run(files, capsys, files / "rib.mrt", "--paths", "--neighbor", "11")
    assert {row["prefix"]: row["cover_hops"] for row in rows} == {"12.0.1.0/24": 2}
    more = ("--class", "diverted_other_origin_valid", "--paths")
    _, out, _, rows = run(files, capsys, files / "rib.mrt", *more)
    assert {row["prefix"] for row in rows} == {f"12.0.{third}.0/24" for third in (1, 2, 3, 4)}
    assert "takes over: 3 of 4" in out


def test_standard_input_is_read_once(files, capsys, monkeypatch):
    with open(files / "rib.mrt", "rb") as dump:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(dump))
        code, _, _, rows = run(files, capsys, "-", "--paths")
    assert (code, {row["prefix"]: row["cover_hops"] for row in rows}) == (0, HOPS)


def test_paths_are_asked_of_mrt_only(files, capsys):
    (files / "rib.csv").write_text("prefix,origin\n12.0.1.0/24,502\n")
    code, out, err, rows = run(files, capsys, files / "rib.csv", "--paths")
    assert (code, out, rows) == (2, "", None)
    assert err == f"rov: error: {files}/rib.csv: expected an MRT dump, CSV has no AS paths\n"


@pytest.mark.realdata
def test_real_paths_walked_once_more(data, first_snapshot):
    """Every entry of a diverted route in 2014, its path walked from the origin on."""
    name = data("mrt/pyasn_rib.20140523.0600_firstMB.bz2")
    with rib.Spool() as spool:
        verdicts = judge(rib.read_table(name, spool=spool), VrpIndex(first_snapshot))
        with rib.open(name, paths=True, spool=spool) as dump:
            batches = list(dump)
    with rib.open(name, paths=True) as dump:
        table = impact_table(verdicts, paths=invalid_paths([dump], verdicts)).to_pylist()
    taker = {
        (row["prefix"], row["origin"] or 0): row["cover_origin"]
        for row in table
        if row["class"].startswith("diverted")
    }
    least: dict[tuple[str, int], int] = {}
    for batch in batches:
        routes, paths = batch.routes, batch.attributes.paths
        columns = (routes.addresses, routes.lengths, routes.origins, batch.attribute_rows)
        for address, length, origin, at in zip(*(column.tolist() for column in columns), strict=True):
            route = str(Prefix(routes.family, address, length)), origin
            if route in taker:
                asns = paths.asns[paths.offsets[at] : paths.offsets[at + 1]].tolist()
                hops, last = 0, origin
                for asn in reversed(asns):
                    hops, last = hops + (asn != last), asn
                    if asn == taker[route]:
                        least[route] = min(hops, least.get(route, hops))
                        break
    found = {(row["prefix"], row["origin"] or 0): row["cover_hops"] for row in table if row["cover_hops"]}
    assert found == least
    assert (len(taker), len(found)) == (340, 35)
