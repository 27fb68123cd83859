"""Whatever stands in a set, what is written reads back as it."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import rov
from rov import Aspa, RouterKey, Snapshot, VrpColumns, slurm
from rov.formats.lines import routinator_order, rpki_client_order

TIMES = st.sampled_from([0, 1, 951782400, 1753003893, 4102444799, 253402300799])


@st.composite
def columns(draw, family):
    bits = 32 if family == 4 else 128
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 2**bits - 1), st.integers(0, bits), st.integers(0, bits),
                      st.integers(0, 2**32 - 1), TIMES, st.integers(0, 2)),
            max_size=12,
        )
    )  # fmt: skip
    found = []
    for number, length, most, asn, expires, ta in rows:
        number = number >> bits - length << bits - length
        address = number if family == 4 else (number >> 64, number & 2**64 - 1)
        found.append((address, length, max(length, most), asn, expires, ta))
    return VrpColumns(family, *zip(*found, strict=True)) if found else None


names = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6),
                 min_size=3, max_size=3, unique=True)  # fmt: skip
aspas = st.builds(
    Aspa,
    st.integers(1, 9),
    st.sets(st.integers(10, 2**32 - 1), min_size=1, max_size=4).map(lambda s: tuple(sorted(s))),
)
keys = st.builds(
    RouterKey,
    st.integers(0, 2**32 - 1),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=1, max_size=9),
)
snapshots = st.builds(
    lambda four, six, a, k, n, g: Snapshot.build(
        four, six, aspas=a, router_keys=k, trust_anchors=n, generated=g
    ),
    columns(4), columns(6), st.lists(aspas, max_size=3), st.lists(keys, max_size=3), names,
    st.none() | st.integers(0, 253402300799),
)  # fmt: skip


def written(snapshot, to, dialect=None):
    return b"".join(rov.encode(snapshot, to, dialect, at=snapshot.generated or 0))


def rows(snapshot):
    """Each VRP with its expiry and the name of its trust anchor."""
    for family in (snapshot.ipv4, snapshot.ipv6):
        stated = zip(family.vrps(), family.expires.tolist(), family.ta.tolist(), strict=True)
        yield from ((vrp, expires, snapshot.trust_anchors[ta]) for vrp, expires, ta in stated)


@given(snapshots)
def test_everything_comes_back(snapshot):
    for to, dialect in (("json", "rpki-client"), ("json", "arouteserver"), ("msgpack", None)):
        again = rov.read_bytes(written(snapshot, to, dialect), "x").snapshot
        assert again == snapshot
        assert list(rows(again)) == list(rows(snapshot))
    assert rov.read_bytes(written(snapshot, "json", "routinator"), "x").snapshot == snapshot
    for dialect in ("rpki-client", "routinator"):
        again = rov.read_bytes(written(snapshot, "csv", dialect), "x").snapshot
        assert list(again) == list(snapshot)
    assert [row[:2] for row in rows(again)] == [(vrp, 0) for vrp in snapshot]
    dated = rov.read_bytes(written(snapshot, "csvext"), "x").snapshot
    assert [row[:2] for row in rows(dated)] == [row[:2] for row in rows(snapshot)]
    added = slurm.read_bytes([("x", written(snapshot, "slurm2"))]).apply(Snapshot.empty()).snapshot
    assert added == snapshot


@given(st.integers(1, 253402300799))
def test_dates_are_those_of_the_calendar(seconds):
    four = VrpColumns.ipv4([0], [0], [0], [1], [seconds])
    line = written(Snapshot.build(four), "csvext").decode().splitlines()[1]
    # from 1970 on the year has four digits everywhere
    assert line.endswith(datetime.fromtimestamp(seconds, UTC).strftime(",N/A,%Y-%m-%d %H:%M:%S"))


@given(snapshots)
def test_orders_are_what_they_say(snapshot):
    for family in (snapshot.ipv4, snapshot.ipv6):
        listed = list(family.vrps())

        def last(prefix):
            return prefix.address | (1 << prefix.bits - prefix.length) - 1

        if not listed:
            continue
        client = [listed[row] for row in rpki_client_order(family)]
        assert client == sorted(
            listed, key=lambda v: (v.prefix.address, -v.prefix.length, -v.max_length, v.asn)
        )
        routinator = [listed[row] for row in routinator_order(family)]
        assert routinator == sorted(
            listed, key=lambda v: (last(v.prefix), -v.prefix.length, v.max_length, v.asn)
        )
        assert sorted(np.asarray(routinator_order(family)).tolist()) == list(range(len(listed)))
