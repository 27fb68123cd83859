"""Router keys and ASPAs in VRP files: both shapes, what is none, several of one customer."""

from __future__ import annotations

import base64
import json

import pytest

from rov import Aspa, Snapshot
from rov.formats import payload, read_bytes
from tests.vrp_texts import KEY, PUBKEY, SKI, SPKI, fault

KEYS = [
    {"bgpsec_keys": [{"asn": 15562, "ski": SKI, "pubkey": PUBKEY, "ta": "ripe", "expires": 1781212587}]},
    {"routerKeys": [{"asn": "AS15562", "SKI": SKI.lower(), "routerPublicKey": PUBKEY, "ta": "ripe"}]},
    {"routerKeys": [{"asn": "AS15562", "SKI": SKI, "routerPublicKey": PUBKEY.rstrip("=")}]},
    {
        "routerKeys": [
            {"asn": 15562, "SKI": SKI, "routerPublicKey": base64.urlsafe_b64encode(SPKI).decode()},
        ]
    },
]


@pytest.mark.parametrize("section", KEYS)
def test_router_keys(section: dict[str, list[dict[str, object]]]) -> None:
    snapshot = read_bytes(json.dumps(section).encode(), "x").snapshot
    assert snapshot.router_keys == (KEY,)
    (rows,) = section.values()
    assert snapshot.router_key_expires.tolist() == [rows[0].get("expires", 0)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"asn": "AS"}, "asn 'AS'"),
        ({"ski": SKI[2:]}, "expected an SKI of 40 hex digits"),
        ({"ski": "zz" * 20}, "expected an SKI of 40 hex digits"),
        ({"ski": None}, "expected an SKI of 40 hex digits"),
        ({"pubkey": ""}, "expected a public key in base64"),
        ({"pubkey": "!!!!"}, "expected a public key in base64"),
        ({"pubkey": "QUFB" * 2000}, "of 1 to 4096 octets"),
        ({"expires": -1}, "expires -1"),
        ({"expires": "x"}, "Expected `int | null`"),
    ],
)
def test_bad_router_keys(change: dict[str, object], message: str) -> None:
    rows = [{"asn": 1, "ski": SKI, "pubkey": PUBKEY, **given} for given in ({}, change)]
    text = json.dumps({"roas": [], "bgpsec_keys": rows})
    found = fault(text)
    assert found.startswith("row 2: bgpsec_keys: ")
    assert message in found
    report = read_bytes(text.encode(), "x", strict=False)
    assert (len(report.snapshot.router_keys), report.skipped_count) == (1, 1)


def aspas(*rows: object, strict: bool = True) -> Snapshot:
    return read_bytes(json.dumps({"aspas": rows}).encode(), "x", strict=strict).snapshot


def test_aspas_in_both_shapes() -> None:
    ours = aspas({"customer_asid": 43, "expires": 1753070425, "providers": [293]})
    assert (ours.aspas, ours.aspa_expires.tolist()) == ((Aspa(43, (293,)),), [1753070425])
    theirs = aspas({"customer": "AS64496", "providers": ["AS64499", "AS64497"], "ta": "ripe"})
    assert (theirs.aspas, theirs.aspa_expires.tolist()) == ((Aspa(64496, (64497, 64499)),), [0])


def test_aspas_of_one_customer_are_their_union_without_as0() -> None:
    rows = [{"customer_asid": 1, "providers": providers} for providers in ([0], [7, 5], [5, 6])]
    assert aspas(*rows).aspas == (Aspa(1, (5, 6, 7)),)
    assert aspas(rows[0]).aspas == (Aspa(1, (0,)),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"customer_asid": 0, "providers": [1]}, "customer 0: expected 1 to 4294967295"),
        ({"providers": [1]}, "customer None"),
        ({"customer_asid": 5, "providers": []}, "at least one provider"),
        ({"customer_asid": 5}, "at least one provider"),
        ({"customer_asid": 5, "providers": [4, 5]}, "listed as its own provider"),
        ({"customer": "AS5", "providers": ["AS"]}, "provider 'AS': expected an AS number"),
        ({"customer": "AS5", "providers": [2**32]}, "provider 4294967296"),
        ({"customer": "AS5", "providers": [1], "expires": 2**60}, "expires 1152921504606846976"),
    ],
)
def test_bad_aspas(row: dict[str, object], message: str) -> None:
    good = {"customer_asid": 9, "providers": [1]}
    assert message in fault(json.dumps({"aspas": [good, row]}))
    assert aspas(good, row, strict=False).aspas == (Aspa(9, (1,)),)


def test_a_customer_of_too_many_providers_loses_all_its_aspas() -> None:
    half = payload.MAX_PROVIDERS // 2
    rows = [
        {"customer_asid": 1, "providers": list(range(2, 2 + half))},
        {"customer_asid": 1, "providers": list(range(50_000, 50_001 + half))},
        {"customer_asid": 2, "providers": list(range(3, 3 + payload.MAX_PROVIDERS))},
    ]
    assert "row 1: aspas: customer AS1: 10001 providers" in fault(json.dumps({"aspas": rows}))
    assert [aspa.customer for aspa in aspas(*rows, strict=False).aspas] == [2]
