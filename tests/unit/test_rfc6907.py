"""The vectors of RFC 6907, and the edge cases beyond them, each through every way to ask for a verdict."""

import numpy as np
import pytest

from rov import Prefix, RouteBatch, Snapshot, State, Vrp, VrpIndex

N, V, I = State.NOT_FOUND, State.VALID, State.INVALID  # noqa: E741
NO_ORIGIN = 0
"""How an AS_SET or an empty path stands in a route."""

QUARTERS = ["10.1.0.0/18-20", "10.1.64.0/18-20", "10.1.128.0/18-20", "10.1.192.0/18-20"]

# (section, VRPs as "prefix-max asn", routes as (prefix, origin, state))
VECTORS = [
    ("7.1.1", ["10.1.0.0/16-20 64496"], [("10.1.0.0/17", 64496, V)]),
    ("7.1.2", ["10.1.0.0/16-20 64496"], [("10.1.0.0/22", 64496, I)]),
    ("7.1.3", ["10.1.0.0/16-24 64496"], [("10.1.88.0/24", 64511, I)]),
    ("7.1.4", ["10.1.0.0/16-22 64496"], [("10.1.88.0/24", 64511, I)]),
    ("7.1.5", [], [("10.1.3.0/24", 64511, N)]),
    ("7.1.6", ["10.1.0.0/16-32 0"], [("10.1.5.0/24", 64511, I)]),
    ("7.1.7", [f"{quarter} 64496" for quarter in QUARTERS], [("10.1.0.0/16", 64496, N)]),
    ("7.1.8", [], [("10.1.0.0/16", NO_ORIGIN, N)]),
    ("7.1.9", ["10.1.0.0/22-24 64496"], [("10.1.0.0/24", NO_ORIGIN, I)]),
    ("7.1.10", ["10.1.0.0/22-24 64511"], [("10.1.0.0/24", NO_ORIGIN, I)]),
    ("7.1.11", ["10.1.0.0/22-24 64509"], [("10.1.0.0/22", NO_ORIGIN, I)]),
    (
        "7.1.12",
        [f"{quarter} {asn}" for quarter, asn in zip(QUARTERS, range(64496, 64500), strict=True)],
        [("10.1.0.0/16", NO_ORIGIN, N)],
    ),
    (
        "3.1",
        ["10.1.2.0/24-24 64496"],
        [("10.1.2.0/24", 64496, V), ("10.1.2.0/25", 64496, I)],
    ),
    (
        "3.2",
        ["10.1.0.0/16-16 64496", "10.1.0.0/20-20 64496"],
        [("10.1.0.0/16", 64496, V), ("10.1.0.0/20", 64496, V), ("10.1.16.0/20", 64496, I)],
    ),
    (
        "3.3",
        ["10.1.0.0/16-16 64496", "10.1.0.0/20-20 64511"],
        [("10.1.0.0/16", 64496, V), ("10.1.0.0/20", 64511, V), ("10.1.0.0/20", 64496, I)],
    ),
    (
        "3.4",
        ["10.1.0.0/16-16 64496", "10.1.0.0/20-20 64496", "10.1.16.0/20-20 64511"],
        [
            ("10.1.0.0/16", 64496, V),
            ("10.1.0.0/20", 64496, V),
            ("10.1.16.0/20", 64511, V),
            ("10.1.16.0/20", 64496, I),
        ],
    ),
    (
        "3.5",
        ["10.1.0.0/16-32 0"],
        [(prefix, asn, I) for prefix in ("10.1.0.0/16", "10.1.0.0/20", "10.1.17.0/24") for asn in (1, 64496)],
    ),
    (
        "3.7",
        ["10.1.0.0/17-17 64496", "10.1.128.0/17-32 0"],
        [
            ("10.1.0.0/17", 64496, V),
            ("10.1.128.0/17", 64496, I),
            ("10.1.128.0/24", 64511, I),
            ("10.1.0.0/16", 64496, N),
        ],
    ),
    (
        "3.8",
        ["10.1.0.0/16-20 64496"],
        [(f"10.1.0.0/{length}", 64496, V) for length in range(16, 21)]
        + [("10.1.0.0/21", 64496, I), ("10.1.128.0/24", 64496, I)],
    ),
    (
        "3.9",
        ["10.1.0.0/16-16 64496", "10.1.0.0/20-22 64501", "10.1.128.0/20-22 64499"],
        [
            ("10.1.4.0/22", 64501, V),
            ("10.1.0.0/24", 64501, I),
            ("10.1.0.0/23", 64496, I),
            ("10.1.0.0/23", 64499, I),
        ],
    ),
    (
        "3.10",
        [f"10.1.{third}.0/24-24 {asn}" for third, asn in enumerate((64496, 64499, 64511, 64505))],
        [
            ("10.1.0.0/24", 64496, V),
            ("10.1.1.0/24", 64499, V),
            ("10.1.2.0/24", 64511, V),
            ("10.1.3.0/24", 64505, V),
            ("10.1.0.0/22", 64497, N),
        ],
    ),
    (
        "edge: AS 0 never matches, not even a route from AS 0",
        ["10.0.0.0/8-24 0"],
        [("10.0.0.0/8", 0, I), ("10.0.0.0/24", 0, I), ("10.0.0.0/24", 64500, I)],
    ),
    (
        "edge: a match wins over AS 0",
        ["10.0.0.0/8-32 0", "10.0.0.0/8-8 64500"],
        [("10.0.0.0/8", 64500, V), ("10.0.0.0/9", 64500, I)],
    ),
    (
        "edge: IPv6 /0",
        ["::/0-48 64500"],
        [
            ("2001:db8::/32", 64500, V),
            ("2001:db8::/49", 64500, I),
            ("::/0", 64500, V),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 64500, I),
            ("10.0.0.0/8", 64500, N),
        ],
    ),
    (
        "edge: IPv4 /0 for AS 0",
        ["0.0.0.0/0-0 0", "192.0.2.0/24-24 64500"],
        [("10.0.0.0/8", 64500, I), ("0.0.0.0/0", 1, I), ("192.0.2.0/24", 64500, V), ("::/0", 1, N)],
    ),
    (
        "edge: no origin against a VRP for AS 0",
        ["10.0.0.0/8-8 0"],
        [("10.0.0.0/8", NO_ORIGIN, I), ("11.0.0.0/8", NO_ORIGIN, N)],
    ),
    (
        "edge: the mapped range stays IPv6",
        ["192.0.2.0/24-24 64500"],
        [("::ffff:192.0.2.0/120", 64500, N), ("192.0.2.0/24", 64500, V)],
    ),
    (
        "edge: the largest AS number, the last addresses",
        ["255.255.255.255/32-32 4294967295", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128-128 4294967295"],
        [
            ("255.255.255.255/32", 4294967295, V),
            ("255.255.255.254/32", 4294967295, N),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 4294967295, V),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/128", 4294967295, N),
        ],
    ),
]

# 7.2.5 to 7.2.8 are 7.2.1 to 7.2.4 with expiry in place of revocation.
GONE = [
    ("7.2.1", "7.2.5", "10.1.0.0/22-24 64496", [], N),
    ("7.2.2", "7.2.6", "10.1.3.0/24-24 64496", ["10.1.0.0/22-24 64511"], I),
    ("7.2.3", "7.2.7", "10.1.3.0/24-24 64496", ["10.1.0.0/22-24 64496"], V),
    ("7.2.4", "7.2.8", "10.1.0.0/20-24 64496", ["10.1.0.0/22-24 64496"], V),
]


def vrp(text):
    """A Vrp from "10.1.0.0/16-20 64496"."""
    prefix, rest = text.rsplit("-", 1)
    max_length, asn = rest.split()
    return Vrp(Prefix.parse(prefix), int(max_length), int(asn))


def batch(text, asn):
    prefix = Prefix.parse(text)
    if prefix.family == 4:
        return RouteBatch.ipv4([prefix.address], [prefix.length], [asn])
    words = np.array([divmod(prefix.address, 2**64)], np.uint64)
    return RouteBatch.ipv6(words, [prefix.length], [asn])


@pytest.mark.parametrize(("vrps", "routes"), [row[1:] for row in VECTORS], ids=[row[0] for row in VECTORS])
def test_vector(vrps, routes):
    index = VrpIndex(Snapshot.from_vrps([vrp(text) for text in vrps]))
    expected = [state for _, _, state in routes]
    assert [index.validate(prefix, asn) for prefix, asn, _ in routes] == expected
    assert [index.explain(prefix, asn).state for prefix, asn, _ in routes] == expected
    assert index.validate_many([row[0] for row in routes], [row[1] for row in routes]).tolist() == expected
    assert [index.validate_batch(batch(prefix, asn))[0] for prefix, asn, _ in routes] == expected


@pytest.mark.parametrize(("gone", "left", "state"), [row[2:] for row in GONE], ids=[row[0] for row in GONE])
def test_revoked(gone, left, state):
    before = Snapshot.from_vrps([vrp(text) for text in [gone, *left]])
    after = before - Snapshot.from_vrps([vrp(gone)])
    assert VrpIndex(before).validate("10.1.3.0/24", 64496) is V
    assert VrpIndex(after).validate("10.1.3.0/24", 64496) is state


@pytest.mark.parametrize(("gone", "left", "state"), [row[2:] for row in GONE], ids=[row[1] for row in GONE])
def test_expired(gone, left, state):
    vrps = [vrp(text) for text in [gone, *left]]
    snapshot = Snapshot.from_vrps(vrps)
    times = np.array([100 if str(row) == str(vrp(gone)) else 200 for row in snapshot.vrps()], np.int64)
    columns = type(snapshot.ipv4).ipv4(*snapshot.ipv4.keys, expires=times)
    snapshot = Snapshot.build(columns)
    assert VrpIndex(snapshot.unexpired(99)).validate("10.1.3.0/24", 64496) is V
    assert VrpIndex(snapshot.unexpired(100)).validate("10.1.3.0/24", 64496) is state
