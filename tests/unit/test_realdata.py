"""The real global set and a real full table: every verdict equals a naive one written here.

The naive side shares no code with the library: VRPs come from the JSON by the standard library, prefixes
are integers by inet_pton, and validation is RFC 6811 §2 word for word over one dict per prefix length.
"""

import bz2
import csv
import json
import lzma
import socket
from collections import Counter, defaultdict
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import pytest

import rov

pytestmark = pytest.mark.realdata

FULL_TABLE = "rib/fulltable_bart2024_x_iplocdb202606_prefix_origin.csv.xz"
LOW_WORD = 2**64 - 1

EXPECTED_SHARES = {4: (45.4, 51.1, 3.4), 6: (39.8, 53.0, 7.2)}
"""Percent not found, valid, invalid: stated beside the data, from a third program."""


def numbers(prefix):
    """Family, network and length of a prefix text."""
    address, length = prefix.split("/")
    family, kind = (6, socket.AF_INET6) if ":" in address else (4, socket.AF_INET)
    return family, int.from_bytes(socket.inet_pton(kind, address)), int(length)


def naive_vrps(path):
    """(family, network, length, max_length, asn) of each row, and its expires."""
    for roa in json.loads(bz2.decompress(path.read_bytes()))["roas"]:
        yield (*numbers(roa["prefix"]), roa["maxLength"], roa["asn"]), roa["expires"]


@pytest.fixture(scope="module")
def first_rows(first_set):
    return dict(naive_vrps(first_set))


@pytest.fixture(scope="module")
def second_rows(second_set):
    return dict(naive_vrps(second_set))


def rows_of(snapshot):
    """A snapshot as a set of the same tuples."""
    return {
        (vrp.prefix.family, vrp.prefix.address, vrp.prefix.length, vrp.max_length, vrp.asn)
        for vrp in snapshot.vrps()
    }


class NaiveIndex:
    """Family -> prefix length -> network -> [(max_length, asn)]."""

    def __init__(self, rows):
        self.tables = {4: defaultdict(dict), 6: defaultdict(dict)}
        for family, network, length, max_length, asn in rows:
            self.tables[family][length].setdefault(network, []).append((max_length, asn))
        self.masks = {
            family: {length: (1 << bits) - (1 << (bits - length)) for length in self.tables[family]}
            for family, bits in ((4, 32), (6, 128))
        }

    def state(self, family, network, length, origin):
        covered = False
        for vrp_length, table in self.tables[family].items():
            if vrp_length > length:
                continue
            found = table.get(network & self.masks[family][vrp_length])
            if found is None:
                continue
            covered = True
            if origin and any(asn == origin and length <= max_length for max_length, asn in found):
                return rov.State.VALID
        return rov.State.INVALID if covered else rov.State.NOT_FOUND


@pytest.fixture(scope="module")
def full_table(data):
    """Family -> the full table's (network, length, origin) with 0 where the origin is not known."""
    table = {4: [], 6: []}
    with lzma.open(data(FULL_TABLE), "rt", newline="") as lines:
        for row in csv.DictReader(lines):
            family, network, length = numbers(row["prefix"])
            table[family].append((network, length, int(row["origin_asn"] or 0)))
    return table


@pytest.fixture(scope="module")
def naive_states(first_rows, full_table):
    """Family -> the naive verdict on each row of the full table."""
    naive = NaiveIndex(first_rows)
    return {
        family: np.array([naive.state(family, *route) for route in routes], np.uint8)
        for family, routes in full_table.items()
    }


@pytest.fixture(scope="module")
def index(first_set):
    return rov.load(first_set)


def batch_of(family, routes):
    addresses, lengths, origins = zip(*routes, strict=True)
    lengths, origins = np.array(lengths, np.uint8), np.array(origins, np.uint32)
    if family == 4:
        return rov.RouteBatch.ipv4(np.array(addresses, np.uint32), lengths, origins)
    words = np.array([(address >> 64, address & LOW_WORD) for address in addresses], np.uint64)
    return rov.RouteBatch.ipv6(words, lengths, origins)


def text_of(family, network, length):
    return f"{(IPv4Address if family == 4 else IPv6Address)(network)}/{length}"


def test_the_set_is_read_whole(first_snapshot, first_rows):
    assert rows_of(first_snapshot) == first_rows.keys()
    assert (len(first_snapshot.ipv4), len(first_snapshot.ipv6)) == (580_366, 143_155)
    assert (len(first_snapshot.aspas), len(first_snapshot.router_keys)) == (100, 2)


@pytest.mark.parametrize("family", [4, 6])
def test_full_table_equals_the_naive_verdicts(family, index, full_table, naive_states):
    states = index.validate_batch(batch_of(family, full_table[family]))
    assert states.dtype == np.uint8
    wrong = np.flatnonzero(states != naive_states[family])
    assert [full_table[family][row] for row in wrong[:5]] == []
    assert Counter(states.tolist()) == Counter(naive_states[family].tolist())


@pytest.mark.parametrize("family", [4, 6])
def test_shares_are_those_stated_beside_the_data(family, full_table, naive_states):
    known = np.array([origin != 0 for _, _, origin in full_table[family]])
    counted = np.bincount(naive_states[family][known], minlength=3)
    shares = counted * 100 / counted.sum()
    assert np.abs(shares - EXPECTED_SHARES[family]).max() <= 0.1


def test_one_by_one_and_many_equal_the_batch(index, full_table, naive_states):
    rows = [(family, row) for row in range(0, len(full_table[6]), 100) for family in (6, 4)]
    texts = [text_of(family, *full_table[family][row][:2]) for family, row in rows]
    origins = [full_table[family][row][2] for family, row in rows]
    expected = [int(naive_states[family][row]) for family, row in rows]
    assert index.validate_many(texts, origins).tolist() == expected
    single = [int(index.validate(text, origin)) for text, origin in zip(texts, origins, strict=True)]
    assert single == expected


def test_half_an_hour_is_six_withdrawals_and_nine_announcements(
    first_snapshot, second_snapshot, first_rows, second_rows
):
    delta = rov.Delta.between(first_snapshot, second_snapshot)
    assert rows_of(delta.withdrawn) == first_rows.keys() - second_rows.keys()
    assert rows_of(delta.announced) == second_rows.keys() - first_rows.keys()
    assert (len(delta.withdrawn), len(delta.announced)) == (6, 9)
    assert delta.apply(first_snapshot) == second_snapshot


def test_expiry_alone_is_no_delta(first_snapshot, second_snapshot, first_rows, second_rows):
    kept = first_rows.keys() & second_rows.keys()
    renewed = sum(first_rows[key] != second_rows[key] for key in kept)
    assert renewed > 10_000, "the second file does renew ROAs"
    common = first_snapshot & second_snapshot
    later = second_snapshot & first_snapshot
    assert not np.array_equal(common.ipv4.expires, later.ipv4.expires)
    assert rov.Delta.between(common, later) is None
