"""Fuzz the MRT parser: nothing that it is fed may crash it, hang it, or make it keep more than it was fed.

    python tests/fuzz/fuzz_mrt.py [seconds]

atheris changes octets of real dumps (ROVKIT_DATA) and of records of every subtype. Each input is read
three times, in two cuts: row by row, with paths, and joined; these must agree. libFuzzer keeps what reaches
something new: in the build under sanitizers (make sanitize-test) a basic block of the parser's C, elsewhere
what the parser says of an input that it has not said before.
"""

from __future__ import annotations

import bz2
import ctypes
import gzip
import importlib.util
import os
import struct
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parent.parent.parent
DATA = Path(os.environ.get("ROVKIT_DATA") or ROOT.parent / "shared" / "data")
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from rov import _mrt  # noqa: E402
from rov._mrt import Parser  # noqa: E402
from rov._mrt_peers import Peers  # noqa: E402
from rov.rib.columns import Columns, Flag  # noqa: E402
from tests import mrt_writer as w  # noqa: E402

MAX_INPUT = 1 << 16
REAL_SEED = MAX_INPUT // 4
"""Octets of a real file at most: inputs of tens of thousands are slow, and say little more."""

ROUTE_OCTETS = 64
"""What a row may take in memory for each octet fed: the shortest prefix has one octet, a row 39."""


def rows_of(data: bytes, *, paths: bool, cut: int):
    """All rows of both families, what the parser counted, and the size of the paths."""
    parser = Parser(Peers(), paths=paths)
    families, words = [], 0
    for piece in (data[:cut], data[cut:]):
        parser.feed(piece)
        while True:
            more = parser.parse()
            ipv4, ipv6 = parser.take_rows()
            families.append((Columns.of(4, ipv4), Columns.of(6, ipv6)))
            octets = parser.take_paths()
            words += sum(map(len, octets))
            check_paths(octets, families[-1], paths)
            if not more:
                break
    return families, parser, words


def check_paths(octets, families, paths):
    """Ends ascend, stay within the words, and every row has a path."""
    for values, ends in zip(octets[::2], octets[1::2], strict=True):
        ends = np.frombuffer(ends, np.uint32)
        assert (np.diff(ends.astype(np.int64)) >= 0).all()
        assert ends[-1:].sum() * 4 == len(values)
    count = len(octets[1]) // 4
    for columns in families:
        announced = columns.paths[~columns.has(Flag.WITHDRAWN)]
        assert not paths or not len(announced) or int(announced.max()) < count


def routes_of(data: bytes, cut: int):
    """The distinct routes as a set, and what the parser counted."""
    parser = Parser(Peers(), distinct=True)
    found = set()
    for piece in (data[:cut], data[cut:]):
        parser.feed(piece)
        while True:
            more = parser.parse()
            words, *families = parser.take_routes()
            for addresses, lengths, origins, sets in families:
                count = len(lengths)
                assert len(sets) == count * words * 8
                assert len(origins) == count * 4
                size = len(addresses) // count if count else 0
                for i in range(count):
                    address = addresses[i * size : (i + 1) * size]
                    found.add((address, lengths[i], origins[4 * i : 4 * i + 4]))
            if not more:
                break
    return found, parser


def branches(count: int):
    """A function with a branch for each number below count: what atheris takes for coverage.

    It cannot see into C; where that counts nothing itself, what the parser says of an input stands for it.
    """
    lines = ["def reached(code):", *(f"    if code == {code}: return {code}" for code in range(count))]
    names: dict = {}
    exec("\n".join(lines), names)
    return atheris.instrument_func(names["reached"])


Counters = ctypes.c_uint8 * (1 << 15)
Blocks = ctypes.c_size_t * (2 << 15)
"""As in tests/fuzz/coverage.c."""

CODES = 512
reached = branches(CODES)


def signal(parser) -> None:
    """Tell atheris what is new about an input: which faults in which records, which counters how high."""
    for place, count in enumerate(parser.counts().values()):
        reached((place * 17 + min(int(count).bit_length(), 16)) % CODES)
    for _, kind, subtype, fault in parser.named():
        reached(170 + (kind * 131 + subtype * 17 + fault) % (CODES - 170))


def count_blocks() -> None:
    """Hand libFuzzer the counters of tests/fuzz/coverage.c, if this build has them.

    By the library's own functions: AddressSanitizer brings some of the same names, which do nothing.
    """
    parser = ctypes.CDLL(_mrt.__file__)
    try:
        counters, blocks = (Counters.in_dll(parser, "rov_counters"), Blocks.in_dll(parser, "rov_blocks"))
    except ValueError:
        return
    fuzzer = ctypes.CDLL(importlib.util.find_spec("atheris.core_with_libfuzzer").origin)
    for hand, array in (
        (fuzzer.__sanitizer_cov_8bit_counters_init, counters),
        (fuzzer.__sanitizer_cov_pcs_init, blocks),
    ):
        hand(ctypes.byref(array), ctypes.byref(array, ctypes.sizeof(array)))


def fuzz(data: bytes) -> None:
    """One input."""
    cut = len(data) // 3
    families, plain, _ = rows_of(data, paths=False, cut=len(data))
    signal(plain)
    again, with_paths, words = rows_of(data, paths=True, cut=cut)
    routes, joined = routes_of(data, cut)
    assert plain.counts() == with_paths.counts() == joined.counts()
    assert plain.offset == with_paths.offset == joined.offset <= len(data) + 4
    assert words <= ROUTE_OCTETS * (len(data) + 1)
    expected, total = set(), 0
    for columns, other in zip(merged(families), merged(again), strict=True):
        assert all((a == b).all() for a, b in zip(columns[:8], other[:8], strict=True))
        total += len(columns.lengths)
        bits = 32 if columns.addresses.ndim == 1 else 128
        assert not len(columns.lengths) or columns.lengths.max() <= bits
        for row in np.flatnonzero(~columns.has(Flag.WITHDRAWN)):
            address = columns.addresses[row].tobytes()
            expected.add((address, int(columns.lengths[row]), columns.origins[row].tobytes()))
    assert expected == routes
    assert total == plain.counts()["entries"] + plain.counts()["withdrawn"] <= len(data)


def merged(families):
    """One Columns a family."""
    return [Columns(*map(np.concatenate, zip(*parts, strict=True))) for parts in zip(*families, strict=True)]


def corpus() -> list[bytes]:
    """Records of every subtype, and the beginnings of real dumps."""
    peers = w.peer_table(("192.0.2.1", 64500), ("2001:db8::1", 64502))
    communities = w.attribute(8, bytes(8)) + w.attribute(32, bytes(12))
    attrs = w.attributes(w.segment(2, 1, 2) + w.segment(1, 5), communities)
    merge = w.attributes(w.segment(2, 1, 23456, size=2), w.attribute(17, w.segment(2, 70000)))
    v4, v6 = "198.51.100.0/24", "2001:db8::/32"
    seeds = [peers + w.rib(kind, v4 if kind in (2, 3) else v6, w.entry(0, attrs)) for kind in (2, 3, 4, 5)]
    seeds += [peers + w.rib(kind, v4 if kind < 10 else v6, w.entry(1, attrs, 7)) for kind in (8, 9, 10, 11)]
    seeds += [peers + w.rib_generic(6, 1, 1, w.prefix(v4), w.entry(0, attrs))]
    seeds += [peers + w.rib_generic(12, 2, 1, bytes(4) + w.prefix(v6), w.entry(0, attrs))]
    entry = w.table_dump_entry(v4, "192.0.2.1", 64500, merge)
    seeds += [w.table_dump(1, entry), w.table_dump(1, entry, entry)]
    body = w.update(w.prefix(v4), merge + w.mp_reach(2, 1, w.prefix(v6)), w.prefix("10.0.0.0/8"))
    seeds += [w.bgp4mp(kind, w.message(body), size=4 if kind in (4, 7, 9, 11) else 2) for kind in range(12)]
    seeds += [w.bgp4mp(1, w.message(body), kind=17), w.record(5, 1, bytes(12) + body)]
    return seeds + [whole_records(start) for start in starts()]


def starts() -> Iterator[bytes]:
    """How each real file begins, and each in the archive of what daemons write."""
    for path in sorted(DATA.glob("mrt/*")):
        if ".tar." in path.name:
            with tarfile.open(path) as archive:
                for member in archive:
                    if file := archive.extractfile(member):
                        yield file.read(REAL_SEED)
        elif ".txt." not in path.name:
            with (bz2 if path.suffix == ".bz2" else gzip).open(path) as file:
                yield file.read(REAL_SEED)


def whole_records(data: bytes) -> bytes:
    """The records that are whole, if there are any."""
    at = 0
    while at + 12 <= len(data):
        after = at + 12 + struct.unpack_from(">I", data, at + 8)[0]
        if after > len(data):
            break
        at = after
    return data[:at] or data


def main() -> None:
    """Run for so many seconds; an input that fails is written to crash-..., and the exit code is 77."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    with tempfile.TemporaryDirectory() as directory:
        for number, seed in enumerate(corpus()):
            (Path(directory) / f"seed{number:03}").write_bytes(seed)
        options = ["-verbosity=0", "-print_final_stats=1", "-rss_limit_mb=1024", "-timeout=10"]
        options.append(f"-max_len={MAX_INPUT}")
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", *options, directory], fuzz)
        count_blocks()
        atheris.Fuzz()


if __name__ == "__main__":
    main()
