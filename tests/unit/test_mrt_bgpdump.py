"""Every real MRT file, row by row against Debian's bgpdump -m; what differs is listed with its reason."""

import bz2
import functools
import gc
import ipaddress
import os
import shutil
import subprocess
import tarfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from pyarrow import compute, csv

import rov
from rov._prefix import format_ipv4, format_ipv6
from rov.rib import Flag
from rov.rib import open as open_dump

pytestmark = pytest.mark.realdata


class Row(NamedTuple):
    withdrawn: bool
    prefix: str
    origin: int
    peer: str
    peer_as: int
    time: int


def origin_of(path):
    """The origin as bgpdump shows it: the last word, unless that is a set or a confederation."""
    last = path.rsplit(" ", 1)[-1]
    return int(last) if last.isdigit() else 0


@functools.cache
def address_of(text):
    """An address in the form of RFC 5952: bgpdump writes :: for a single group of zeros, too."""
    return str(ipaddress.IPv6Address(text)) if ":" in text else text


def prefix_of(text):
    if ":" not in text:
        return text
    address, length = text.split("/")
    return f"{address_of(address)}/{length}"


def rows_of_bgpdump(program, path):
    ended = subprocess.run([program, "-m", str(path)], capture_output=True, check=False)
    return Counter(map(row_of_line, filter(is_row, ended.stdout.decode("latin-1").splitlines())))


def is_row(line):
    return line.split("|", 3)[2:3] in (["A"], ["B"], ["W"])


def row_of_line(line):
    fields = line.split("|", 8)
    kind, time, change, peer, peer_as, prefix = fields[:6]
    if change == "W":
        origin = 0
    else:
        # with ADD-PATH the path id is a field of its own, before the path
        origin = origin_of(fields[7 if kind.endswith("_AP") else 6])
    # of RIB entries it prints the time of the record, or what memory holds (-t change)
    time = 0 if change == "B" else int(time.partition(".")[0])
    return change == "W", prefix_of(prefix), origin, address_of(peer), int(peer_as), time


def our_rows(path):
    found = Counter()
    with open_dump(path) as dump:
        for batch in dump:
            routes = batch.routes
            texts = (format_ipv4 if routes.family == 4 else format_ipv6)(routes.addresses, routes.lengths)
            peers = [(str(peer.address).split("/")[0], peer.asn) for peer in dump.peers]
            addresses, asns = zip(*map(peers.__getitem__, batch.peers.tolist()), strict=True)
            gone, origins, times = (
                column.tolist() for column in (batch.has(Flag.WITHDRAWN), routes.origins, batch.times)
            )
            found.update(zip(gone, texts, origins, addresses, asns, times, strict=True))
    return found, dump


def of_rib(found):
    """The rows without their times, of which bgpdump prints another in a RIB."""
    without = Counter()
    for (*row, _), times in found.items():
        without[(*row, 0)] += times
    return without


def named(rows):
    return Counter({Row(*row): times for row, times in rows.items()})


SAME = {
    "bgpdump_bview.64k_stream_overflow.gz": 23,
    "bgpdump_bview.ipv4_unicast_add_path.gz": 62,
    "bgpdump_updates.20020722.2238.gz": 825 + 2419,
    "bgpdump_updates.20071015.1505.gz": 10_111 + 385,
    "bgpdump_updates.20100722.2015.gz": 5_067 + 547,
    "bgpdump_updates.et-header.2015.gz": 577_737 + 3,
    "bgpdump_updates.long_withdrawal.gz": 4_096,
    "namex-bgpd-rib-inet.mrt.gz": 3_426,
    "pyasn_rib.20080501.0644_firstMB.bz2": 139_291,
    "pyasn_rib.20140523.0600_firstMB.bz2": 270_005,
    "ris.rrc06.updates.1427846400.gz": 1_435 + 122,
    "ris_rrc15_2010.02_updates.20100227.1610.gz": 5_920 + 1_549,
}
"""Files whose rows are the same, and how many there are."""

SAMPLES = {
    "bird-mrtdump_bgp": 12,
    "bird-mrtdump_rib": 18,
    "bird6-mrtdump_bgp": 12,
    "bird6-mrtdump_rib": 10,
    "openbgpd_rib_table": 31,
    "openbgpd_rib_table-mp": 0,  # BGP4MP_ENTRY, deprecated by RFC 6396: neither reads it
    "openbgpd_rib_table-v2": 31,
    "quagga_rib": 9,
}
"""The same of the files in mrtparse_daemon_samples.tar.gz."""


def compare(program, path):
    """What only we have, what only bgpdump has, how many rows we have.

    Hundreds of thousands of tuples live at once, which the collector need not look for cycles in.
    """
    gc.disable()
    try:
        ours, dump = our_rows(path)
        theirs = rows_of_bgpdump(program("bgpdump"), path)
        if not any(time for *_, time in theirs):
            ours = of_rib(ours)
        if ours == theirs:
            return Counter(), Counter(), ours.total(), dump
        return named(ours - theirs), named(theirs - ours), ours.total(), dump
    finally:
        gc.enable()


def test_no_file_is_left_out(data):
    """Each file has its place above or, where something differs, a test of its own below; one is text."""
    tests = Path(__file__).read_text()
    folder = data(f"mrt/{next(iter(SAME))}").parent
    left = {path.name for path in folder.iterdir() if path.name not in tests}
    assert left == {"bgpdump-" + "text_bview.20100701.0759.txt.gz"}


@pytest.mark.parametrize("name", SAME)
def test_rows_are_those_of_bgpdump(data, program, name):
    ours, theirs, count, dump = compare(program, data(f"mrt/{name}"))
    assert (ours, theirs, count) == (Counter(), Counter(), SAME[name])
    assert dump.counts.skipped == 0


def test_rows_of_daemons_are_those_of_bgpdump(data, program, tmp_path):
    with tarfile.open(data("mrt/mrtparse_daemon_samples.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    for name, expected in SAMPLES.items():
        ours, theirs, count, _ = compare(program, tmp_path / name)
        assert (ours, theirs, count) == (Counter(), Counter(), expected), name


# The RIB of four million entries, in columns: its first part, or all of it with ROVKIT_WHOLE=1

BIG = "mrt/synthetic_rib_4M_entries.mrt.bz2"
PART = 16 << 20
"""Octets of its first part, which both read in two seconds; all of it takes a core a minute."""

KEEP = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_TOP_PAD_": str(16 << 20)}
"""Else bgpdump gives memory back and asks for it again all the time: longer than all the rest takes it."""


def entries_of_bgpdump(program, path):
    """Of each family the address (high and low half), length, origin, peer and its AS, row by row."""
    found = {4: [], 6: []}
    command, environment = [program, "-m", str(path)], {**os.environ, **KEEP}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as run:
        # a line has 14 or 15 fields, the last of them empty
        names = [str(number) for number in range(15)]
        options = csv.ConvertOptions(
            include_columns=["3", "4", "5", "6"], column_types=dict.fromkeys("356", "string")
        )
        lines = csv.open_csv(
            run.stdout,
            csv.ReadOptions(column_names=names, block_size=16 << 20),
            csv.ParseOptions(delimiter="|", quote_char=False),
            options,
        )
        for batch in lines:
            peer, asn, prefix, path_text = batch.columns
            words = compute.split_pattern(path_text, " ", max_splits=1, reverse=True)
            last = words.values.take(compute.subtract(words.offsets[1:], 1))
            known = compute.match_substring_regex(last, r"^\d+$")
            origin = compute.if_else(known, last, "0").cast("uint64").to_numpy(zero_copy_only=False)
            asns = asn.to_numpy(zero_copy_only=False).astype(np.uint64)
            rows = np.column_stack([coded(prefix), origin, coded(peer), asns])
            wide = compute.match_substring(prefix, ":").to_numpy(zero_copy_only=False)
            found[4].append(rows[~wide])
            found[6].append(rows[wide])
    return {family: np.concatenate(parts) for family, parts in found.items()}


def coded(column):
    """High half, low half and length of each text, each distinct one read once."""
    words = column.dictionary_encode()
    return np.array([numbers(text) for text in words.dictionary.to_pylist()], np.uint64)[words.indices]


def numbers(text):
    network = ipaddress.ip_network(text)
    high, low = divmod(int(network.network_address), 1 << 64)
    return high, low, network.prefixlen


def entries_of_ours(path):
    found = {4: [], 6: []}
    with open_dump(path) as dump:
        for batch in dump:
            routes = batch.routes
            low = routes.addresses.reshape(len(routes), -1)
            who = [(*numbers(str(peer.address or "::").split("/")[0]), peer.asn) for peer in dump.peers]
            columns = low[:, 0] if routes.family == 6 else np.zeros(len(routes)), low[:, -1], routes.lengths
            place = np.column_stack([np.asarray(column, np.uint64) for column in (*columns, routes.origins)])
            found[routes.family].append(np.hstack([place, np.array(who, np.uint64)[batch.peers]]))
    return {family: np.concatenate(parts) if parts else np.empty((0, 8)) for family, parts in found.items()}


def test_four_million_entries_are_those_of_bgpdump(data, program, tmp_path):
    everything = os.environ.get("ROVKIT_WHOLE") == "1"
    path = tmp_path / "unpacked.mrt"
    with bz2.open(data(BIG)) as packed, open(path, "wb") as file:
        if everything:
            shutil.copyfileobj(packed, file, 1 << 20)
        else:
            file.write(packed.read(PART))
    theirs = entries_of_bgpdump(program("bgpdump"), path)
    ours = entries_of_ours(path)
    for family in (4, 6):
        assert ours[family].shape == theirs[family].shape
        assert (ours[family] == theirs[family]).all()
    count = sum(map(len, ours.values()))
    assert count == 4_015_534 if everything else count > 200_000


# What differs


def test_1999_withdrawals_of_the_legacy_type(data, program):
    """bgpdump prints the address of the peer in place of the prefix that is withdrawn."""
    path = data("mrt/ris_rrc00_1999.09_updates.19990903.1041.gz")
    ours, theirs, count, _ = compare(program, path)
    assert count == 65_286 + 25
    assert all(row.withdrawn and row.prefix.split("/")[0] != row.peer for row in ours)
    assert all(row.withdrawn and row.prefix.split("/")[0] == row.peer for row in theirs)
    mine = Counter((row.time, row.prefix.split("/")[1]) for row in ours.elements())
    assert mine == Counter((row.time, row.prefix.split("/")[1]) for row in theirs.elements())
    assert sum(mine.values()) == 25


def test_2000_rib_whose_records_state_too_few_octets(data, program):
    """bgpdump reads the first entry of the first record and gives up; all 2,490 records are sound."""
    path = data("mrt/ris_rrc00_2000.01_bview.20000111.0032.gz")
    ours, theirs, count, dump = compare(program, path)
    assert (theirs, count, sum(ours.values())) == (Counter(), 452_018, 452_017)
    assert dump.counts.skipped == 0
    assert dump.warnings == ()


def test_2000_updates_with_a_header_cut_short(data, program):
    """At octet 188 a record lacks what follows its header, so that framing is lost: we say so and stop.

    bgpdump reads on and prints 2,042 withdrawals that the collector never wrote, such as 0.5.0.3/117.
    """
    path = data("mrt/ris_rrc00_2000.03_updates.20000325.0345.gz")
    ours, theirs, count, dump = compare(program, path)
    assert count == 4
    # again the peer's address in place of the prefix
    assert {row.prefix for row in ours} == {"24.216.16.0/24", "203.18.151.0/24"}
    assert sum(theirs.values()) == 2 + 2_042
    assert dump.counts.skipped == 2
    assert "offset 188: record of type 5, subtype 1: no sound BGP message" in dump.warnings[0]
    assert "longer than any record expected" in dump.warnings[1]


def test_prefixes_that_run_over_the_end_of_the_message(data, program):
    """The list is 11.8.0.0/13, then a /11 of one octet: bgpdump prints the first, with its host bits."""
    path = data("mrt/bgpdump_updates.nlri_mask_trailing_bits.gz")
    theirs = named(rows_of_bgpdump(program("bgpdump"), path))
    assert {row.prefix for row in theirs} == {"11.13.0.0/13"}
    with pytest.raises(rov.RibFileError, match="no sound list of prefixes"):
        our_rows(path)


def test_entries_without_a_peer_table(data, program):
    """The file begins in the middle of a RIB: bgpdump prints nothing, we do not need the peers."""
    path = data("mrt/pyasn_bview.20140112.1600_3samples.bz2")
    ours, theirs, count, dump = compare(program, path)
    assert (theirs, count) == (Counter(), 3)
    assert {(row.prefix, row.origin, row.peer) for row in ours} == {
        ("1.0.0.0/24", 15169, "None"),
        ("1.0.20.0/23", 2519, "None"),
        ("84.205.86.0/24", 0, "None"),
    }
    assert dump.counts.unknown_peers == 3
