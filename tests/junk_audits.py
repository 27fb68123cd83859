"""What the audits and the readers of reference files are asked in the tests of junk."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

import rov
from rov import State, audit, reference, rib
from rov.audit import (
    allow,
    bogon_paths,
    bogons,
    contacts,
    hijacks,
    hygiene,
    incident_summary,
    incidents,
    invalid_paths,
    irr,
    ixp,
    ixp_members,
    leaks,
    manrs,
    neighbor,
    output,
    participants,
    paths,
    sav,
    sav_heard,
    suggest,
    whatif,
)
from rov.reference import allowed, as_sets, events, ixf, names, relations, rpsl, special
from rov.reference import contacts as people
from rov.reference import participants as published
from tests import mrt_writer as mrt
from tests.junk import INDEX, OTHER, PREFIX, SNAPSHOT, Case

DELEGATED = b"2|ripencc|20260101|1|||+0000\nripencc|NL|ipv4|192.0.2.0|256|20260101|allocated\n"
RELATIONS = b"64496|64497|-1\n"
IRR = b"route: 192.0.2.0/24\norigin: AS64496\n"
FILES = {
    "delegated": DELEGATED, "relations": RELATIONS, "irr": IRR, "names": b"64496 EXAMPLE-AS\n",
    "export": b'{"member_list": [{"asnum": 64496}]}', "participants": b"ASN\n64496\n",
    "asns": b'{"asns": [64496]}', "sets": b"as-set: AS-X\nmembers: AS64496\n",
    "allowed": b"customer,origin,prefix,le\n1,1,10.0.0.0/8,8\n",
    "events": b"type,start\nleak,2018-01-02\n",
    "people": b"aut-num: AS64496\n",
    "networks": b'{"data": [{"asn": 64496, "poc_set": []}]}',
}  # fmt: skip

NUMBERS: dict[str, Any] = {"addresses": [0], "lengths": [8], "origins": [64496], "peers": [3]}
SETS = np.array([[2]], np.uint64)
COLUMNS = rib.RouteColumns(4, peer_sets=SETS, **NUMBERS)
TABLE = rib.RouteTable(COLUMNS, rib.RouteColumns.empty(6), [rib.Peer(None, 0), rib.Peer(None, 64496)])
VERDICTS = audit.judge(TABLE, INDEX)
REASONS = neighbor.unfiltered(VERDICTS)
PASSED = ixp.passed_on(VERDICTS, [])
NO_IRR = rpsl.Irr.of([])
LEARNT = sav_heard.Learnt.of([[((4, 10 << 24, 8), 64496, 1)]], [[64496]], [[]], {})
INTERFACES = [sav_heard.Interface.parse("eth1=AS64496")]
DELEGATIONS = reference.Delegations()
NAMES = {64496: "EXAMPLE-AS"}
CHANGED = whatif.change(VERDICTS, OTHER)
SUGGESTED = suggest.suggest(VERDICTS)
LEAK = [events.Event("leak", 2018, 1, 2, "")]
ONE = object()
"""The dumps in which ``learn`` finds INTERFACES; each is read once, so that they are opened anew."""


def learnt(dumps: Any, interfaces: Any) -> sav_heard.Learnt:
    if dumps is not ONE:
        return sav_heard.learn(dumps, interfaces)
    octets = mrt.peer_table(("192.0.2.1", 64496)) + mrt.rib(2, "10.0.0.0/8", mrt.entry(0, mrt.path(64496)))
    with open("rib.mrt", "wb") as file:
        file.write(octets)
    with rib.open("rib.mrt", paths=True) as dump:
        return sav_heard.learn([dump], interfaces)


CASES: dict[str, Case] = {
    "reference.read_delegated": Case(reference.read_delegated, {"paths": ["delegated"]}, named=("paths",)),
    "reference.Delegations.of_prefix": Case(DELEGATIONS.of_prefix, {"prefix": "10.0.0.0/8"}),
    "reference.Delegations.of_prefixes": Case(DELEGATIONS.of_prefixes, {"prefixes": ["10.0.0.0/8"]}),
    "reference.Delegations.of_asn": Case(DELEGATIONS.of_asn, {"asn": 64496}),
    "reference.read_names": Case(names.read_names, {"paths": ["names"]}, named=("paths",)),
    "reference.one_line": Case(names.one_line, {"text": "EXAMPLE-AS"}),
    "reference.read_relations": Case(relations.read_relations, {"path": "relations"}),
    "reference.read_irr": Case(rpsl.read_irr, {"paths": ["irr"]}, named=("paths",)),
    "reference.read_members": Case(ixf.read_members, {"path": "export"}),
    "reference.read_participants": Case(published.read_participants, {"path": "participants"}),
    "reference.read_asns": Case(published.read_asns, {"path": "asns"}),
    "reference.as_set_name": Case(as_sets.as_set_name, {"text": "AS-X"}),
    "reference.read_as_sets": Case(as_sets.read_as_sets, {"paths": ["sets"]}, named=("paths",)),
    "reference.AsSets.expand": Case(as_sets.AsSets([]).expand, {"names": ["AS-X"]}),
    "reference.Customer.parse": Case(as_sets.Customer.parse, {"text": "AS64496 AS-X 192.0.2.1"}),
    "reference.read_contacts": Case(
        people.read_contacts, {"rpsl": ["people"], "peeringdb": "networks"}, named=("rpsl", "peeringdb")
    ),
    "reference.Contacts.of": Case(people.Contacts().of, {"asn": 64496}),
    "reference.read_allowed": Case(allowed.read_allowed, {"path": "allowed", "customer": 1}),
    "reference.read_events": Case(events.read_events, {"paths": ["events"]}, named=("paths",)),
    "audit.allow_table": Case(
        allow.allow_table,
        {
            "customers": {64496: {64496}},
            "index": INDEX,
            "irr": NO_IRR,
            "longest_ipv4": 24,
            "longest_ipv6": 48,
        },
    ),
    "audit.invalid_by_origin": Case(contacts.invalid_by_origin, {"verdicts": VERDICTS, "asns": [64496]}),
    "audit.invalid_routes of origins": Case(contacts.invalid_routes, {"verdicts": VERDICTS, "asns": [64496]}),
    "audit.contacts_table": Case(
        contacts.contacts_table,
        {
            "verdicts": VERDICTS,
            "contacts": people.Contacts(),
            "today": datetime.date(2026, 1, 1),
            "asns": [64496],
        },
    ),
    "audit.Detector": Case(incidents.Detector, {"rules": incidents.Rules(INDEX), "known": TABLE}),
    "audit.Detector.excuse": Case(incidents.Detector(incidents.Rules(INDEX)).excuse, {"dumps": []}),
    "audit.incidents_table": Case(
        incidents.incidents_table,
        {"found": [incidents.Incident("bogon", "prefix", 64496, 0)], "delegations": DELEGATIONS},
    ),
    "audit.counted": Case(incident_summary.counted, {"events": LEAK, "by": "type"}),
    "audit.summary_table": Case(
        incident_summary.summary_table,
        {"events": LEAK, "by": "type", "ases": {2018: 50}},
    ),
    "audit.Interface.parse": Case(sav_heard.Interface.parse, {"text": "eth1=AS64496"}),
    "audit.learn": Case(learnt, {"dumps": ONE, "interfaces": INTERFACES}),
    "audit.sav_table": Case(
        sav.sav_table,
        {
            "learnt": LEARNT,
            "interfaces": INTERFACES,
            "algorithm": "efp-a",
            "snapshot": SNAPSHOT,
            "also": [("eth1", PREFIX)],
        },
    ),
    "audit.as_community": Case(ixp.as_community, {"text": "64500:1"}),
    "audit.passed_on": Case(
        ixp.passed_on,
        {"verdicts": VERDICTS, "dumps": [], "expected": [(64500, 1)], "lans": [PREFIX], "members": {}},
    ),
    "audit.verify_table": Case(ixp.verify_table, {"passed": PASSED, "names": {}}),
    "audit.invalid_routes": Case(ixp_members.invalid_routes, {"verdicts": VERDICTS}),
    "audit.members_table": Case(
        ixp_members.members_table,
        {"passed": PASSED, "exchange": None, "manrs": [64496], "thresholds": None},
    ),
    "audit.member_fixes": Case(ixp_members.member_fixes, {"passed": PASSED}),
    "audit.participants_table": Case(
        participants.participants_table,
        {"verdicts": VERDICTS, "participants": [], "irr": None, "match": "exact", "thresholds": None},
    ),
    "audit.irr_matrix": Case(irr.irr_matrix, {"verdicts": VERDICTS, "irr": NO_IRR}),
    "audit.irr_objects_table": Case(
        irr.irr_objects_table, {"verdicts": VERDICTS, "irr": NO_IRR, "sources": ["RADB"]}
    ),
    "reference.special_asn": Case(special.special_asn, {"asn": 64496}),
    "audit.judge": Case(audit.judge, {"table": TABLE, "index": INDEX, "min_peers": 1, "threads": 1}),
    "audit.Judged.having": Case(VERDICTS.ipv4.having, {"state": State.VALID}),
    "audit.Verdicts.families": Case(VERDICTS.families, {}),
    "audit.Verdicts.count": Case(VERDICTS.count, {"state": State.VALID}),
    "audit.Verdicts.counts": Case(VERDICTS.counts, {}),
    "audit.verdict_table": Case(audit.verdict_table, {"verdicts": VERDICTS}),
    "audit.impact": Case(audit.impact, {"verdicts": VERDICTS, "default_routes": False}),
    "audit.impact_table": Case(
        audit.impact_table,
        {
            "verdicts": VERDICTS,
            "default_routes": False,
            "delegations": DELEGATIONS,
            "names": NAMES,
            "paths": invalid_paths.Seen(),
        },
    ),
    "audit.coverage_table": Case(
        audit.coverage_table, {"verdicts": VERDICTS, "by": "country", "delegations": DELEGATIONS}
    ),
    "audit.coverage_table with names": Case(audit.coverage_table, {"verdicts": VERDICTS, "names": NAMES}),
    "audit.check_vrps": Case(hygiene.check_vrps, {"verdicts": VERDICTS, "now": 0, "soon": 1}),
    "audit.hygiene_table": Case(hygiene.hygiene_table, {"verdicts": VERDICTS, "now": 0, "soon": 1}),
    "audit.bogon_paths": Case(
        bogon_paths.bogon_paths, {"dumps": [], "table": TABLE, "delegations": DELEGATIONS}
    ),
    "audit.bogons": Case(bogons.bogons, {"routes": COLUMNS, "delegations": DELEGATIONS}),
    "audit.bogons_table": Case(
        bogons.bogons_table, {"table": TABLE, "delegations": DELEGATIONS, "paths": {}}
    ),
    "audit.hijacks_table": Case(
        hijacks.hijacks_table, {"verdicts": VERDICTS, "evidence": hijacks.Evidence()}
    ),
    "audit.invalid_paths": Case(
        invalid_paths.invalid_paths, {"dumps": [], "verdicts": VERDICTS, "neighbor": 1}
    ),
    "audit.as_leaks_table": Case(leaks.as_leaks_table, {"verdicts": VERDICTS, "seen": invalid_paths.Seen()}),
    "audit.peer_leaks_table": Case(leaks.peer_leaks_table, {"verdicts": VERDICTS}),
    "audit.incident_weight": Case(manrs.incident_weight, {"seconds": 1}),
    "audit.incidents_weight": Case(manrs.incidents_weight, {"events": [(0, 1)]}),
    "audit.manrs_table": Case(
        manrs.manrs_table,
        {
            "verdicts": VERDICTS,
            "asns": [64496],
            "irr": None,
            "match": "exact",
            "thresholds": manrs.Thresholds(),
            "delegations": DELEGATIONS,
            "names": NAMES,
        },
    ),
    "audit.format_of": Case(output.format_of, {"path": "x.csv"}),
    "audit.write_table": Case(
        output.write_table,
        {"table": audit.verdict_table(VERDICTS), "path": "x.csv", "schema": "x/1", "facts": {}},
        also=(OSError,),
    ),
    "audit.judge_paths": Case(
        paths.judge_paths,
        {"verdicts": VERDICTS, "dumps": [], "direction": rov.aspa.Direction.UPSTREAM, "neighbor": 1},
    ),
    "audit.path_faults": Case(neighbor.path_faults, {"dumps": [], "verdicts": VERDICTS, "neighbor": 1}),
    "audit.unfiltered": Case(
        neighbor.unfiltered,
        {
            "verdicts": VERDICTS,
            "in_paths": REASONS,
            "paths": paths.judge_paths(VERDICTS, []),
            "allowed": SNAPSHOT,
        },
    ),
    "audit.unfiltered_table": Case(neighbor.unfiltered_table, {"verdicts": VERDICTS, "reasons": REASONS}),
    "audit.suggest": Case(suggest.suggest, {"verdicts": VERDICTS, "asns": [1], "within": [PREFIX]}),
    "audit.suggest_table": Case(suggest.suggest_table, {"suggested": SUGGESTED}),
    "audit.krill_lines": Case(suggest.krill_lines, {"suggested": SUGGESTED}),
    "audit.slurm_json": Case(suggest.slurm_json, {"suggested": SUGGESTED}),
    "audit.change": Case(whatif.change, {"verdicts": VERDICTS, "after": OTHER}),
    "audit.whatif_table": Case(whatif.whatif_table, {"changed": CHANGED}),
}
"""By package and name; files are those of FILES."""
