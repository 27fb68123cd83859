"""Whatever stands in a file, reading it gives a Snapshot or a VrpFileError, and writing loses nothing."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp, VrpFileError
from rov.formats import ReadReport, json_stream, read_bytes
from rov.formats.json import read_json
from rov.formats.json_stream import read_slices
from rov.formats.report import Intake
from rov.formats.rpki_client import encode

SEED = {
    "metadata": {"buildtime": "2025-07-20T09:31:33Z", "generated": 1},
    "roas": [
        {"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "a", "expires": 1753453058},
        {"asn": "AS2", "prefix": "2001:db8::/32", "maxLength": 48, "source": [
            {"type": "roa", "tal": "x", "validity": {"notAfter": "2025-07-20T09:31:33Z"},
             "chainValidity": {"notAfter": "2025-07-20T09:31:33Z"}}]},
    ],
    "bgpsec_keys": [{"asn": 15562, "ski": "00" * 20, "pubkey": "QUFB", "expires": 1781212587}],
    "routerKeys": [{"asn": "AS1", "SKI": "00" * 20, "routerPublicKey": "QUFB"}],
    "aspas": [{"customer_asid": 5, "providers": [6, 7]}, {"customer": "AS5", "providers": ["AS6"]}],
}  # fmt: skip

CSV_SEED = (
    b"URI,ASN,IP Prefix,Max Length,Trust Anchor,Not Before,Not After\n"
    b"x,AS1,192.0.2.0/24,24,a,N/A,2025-07-20 09:31:33\n"
    b'"y",2,2001:db8::/32,48,"a,b",,\n'
)

PACKED = [
    pack(json.dumps(SEED).encode())
    for pack in (gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress)
]

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["AS", "AS0", "0.0.0.0/0", "::/0", "9999-99-99", "N/A", 2**31, 2**32, 2**63, 2**64, 10**30, ""]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
)


def outcome(data: bytes, strict: bool) -> ReadReport | VrpFileError:
    """What reading gives; anything else than these two is a fault of ours."""
    try:
        return read_bytes(data, "x", strict=strict)
    except VrpFileError as error:
        return error


def check(data: bytes) -> ReadReport | None:
    """Both ways of reading keep the promise, and differ only where rows are bad."""
    lenient, strict = outcome(data, False), outcome(data, True)
    if isinstance(lenient, VrpFileError):
        assert isinstance(strict, VrpFileError)
        assert str(strict).startswith("x: ")
        return None
    if isinstance(strict, VrpFileError):
        assert lenient.skipped_count > 0, strict
    else:
        assert (lenient, strict.skipped_count) == (strict, 0)
    return lenient


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within a JSON document."""
    if isinstance(value, dict):
        inner = [way for key, item in value.items() for way in places(item, (*above, key))]
    elif isinstance(value, list):
        inner = [way for key, item in enumerate(value) for way in places(item, (*above, key))]
    else:
        inner = []
    return [above, *inner]


def changed(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    """A copy of a document with one value replaced."""
    if not way:
        return new
    copy = value.copy()
    copy[way[0]] = changed(value[way[0]], way[1:], new)
    return copy


@given(st.binary(max_size=300))
@example(b"\x1f\x8b")
@example(b"BZh")
@example(b"\xfd7zXZ\x00")
@example(b"\x28\xb5\x2f\xfd")
@example(b'"')
@example(b"ASN,Prefix\n\x00,")
@example(b"\x00\r\x00")
@example(b'"ASN","Prefix\n')
def test_noise(data: bytes) -> None:
    check(data)


@given(st.sampled_from(["{", "[", "ASN,IP Prefix\n", '{"roas":[', '{"roas":[{']), st.text(max_size=200))
def test_noise_after_a_good_beginning(start: str, text: str) -> None:
    check((start + text).encode("utf-8", "surrogatepass"))


@given(st.sampled_from(places(SEED)), JUNK)
def test_one_value_changed(way: tuple[Any, ...], new: Any) -> None:
    check(json.dumps(changed(SEED, way, new)).encode())


@given(st.lists(st.tuples(st.sampled_from(places(SEED)[1:]), JUNK), max_size=4))
def test_some_values_changed(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document: Any = SEED
    for way, new in changes:
        if way in places(document):
            document = changed(document, way, new)
    check(json.dumps(document).encode())


@given(
    st.sampled_from([json.dumps(SEED).encode(), CSV_SEED, *PACKED]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=3),
    st.floats(0, 1),
)
def test_octets_changed_and_cut(data: bytes, changes: list[tuple[float, int]], end: float) -> None:
    octets = bytearray(data)
    for place, octet in changes:
        octets[int(place * len(octets))] = octet
    check(bytes(octets[: round(end * len(octets))]))


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    family = draw(st.sampled_from([4, 6]))
    bits = 32 if family == 4 else 128
    length = draw(st.integers(0, bits))
    address = draw(st.integers(0, 2**bits - 1)) >> (bits - length) << (bits - length)
    return Prefix(4 if family == 4 else 6, address, length)


@st.composite
def vrps(draw: st.DrawFn) -> Vrp:
    prefix = draw(prefixes())
    return Vrp(prefix, draw(st.integers(prefix.length, prefix.bits)), draw(st.integers(0, 2**32 - 1)))


@st.composite
def aspas(draw: st.DrawFn) -> Aspa:
    customer = draw(st.integers(1, 2**32 - 1))
    providers = draw(st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=5)) - {customer}
    return Aspa(customer, tuple(sorted(providers)) or (0,))


KEYS = st.builds(
    RouterKey,
    st.integers(0, 2**32 - 1),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=1, max_size=99),
)
SNAPSHOTS = st.builds(
    Snapshot.from_vrps,
    st.lists(vrps(), max_size=20),
    st.lists(aspas(), max_size=5),
    st.lists(KEYS, max_size=3),
)


DOCUMENTS = [
    json.dumps(SEED).encode(),
    json.dumps(SEED, indent=1).encode(),
    json.dumps(SEED["roas"]).encode(),
    json.dumps(dict(reversed(SEED.items()))).encode(),
    json.dumps({"roas": []}).encode(),
    json.dumps(SEED).replace('"roas"', '"r\\u006fas"').encode(),
    json.dumps(SEED).replace('"aspas"', '"roas": [], "aspas"').encode(),
    json.dumps({"roas": [{"asn": 7, "prefix": "10.0.0.0/8"}], "x": 1}).encode()[:-1]
    + json.dumps(SEED).replace("{", ",", 1).encode(),
    json.dumps(
        {"x": {"roas": [1, "]},{"]}, "roas": [{"asn": 1, "prefix": "::/0", "x": '\\"},{'}] * 3}
    ).encode(),
]


def pieces(data: bytes, cuts: list[float]) -> Iterator[bytes]:
    ends = sorted(int(cut * len(data)) for cut in cuts)
    return (data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True))


def as_whole(data: bytes, strict: bool) -> tuple[ReadReport, list[str]] | None:
    intake = Intake("x", strict)
    try:
        return intake.report(read_json(data, intake)), [str(row) for row in intake.skipped]
    except VrpFileError:
        return None


@given(
    st.sampled_from(DOCUMENTS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(b'{}[],:"\\ 0x\xff')), max_size=2),
    st.lists(st.floats(0, 1), max_size=6),
    st.integers(1, 300),
    st.booleans(),
)
def test_in_pieces_and_slices_as_in_one(
    document: bytes, changes: list[tuple[float, int]], cuts: list[float], size: int, strict: bool
) -> None:
    octets = bytearray(document)
    for place, octet in changes:
        octets[int(place * len(octets))] = octet
    data = bytes(octets)
    whole, intake = as_whole(data, strict), Intake("x", strict)
    with patch.object(json_stream, "SLICE_BYTES", size):
        form = read_slices(pieces(data, cuts), intake)
    if form is None:
        # some faults and oddities are for the whole to tell; what is sound and usual is not left to it
        assert changes or whole is None or data in DOCUMENTS[5:8]
    else:
        assert whole == (intake.report(form), [str(row) for row in intake.skipped])


@given(
    st.lists(st.tuples(st.sampled_from(places(SEED)[1:]), JUNK), max_size=2),
    st.integers(1, 300),
    st.booleans(),
)
def test_values_changed_in_slices(
    changes: list[tuple[tuple[Any, ...], Any]], size: int, strict: bool
) -> None:
    document: Any = SEED
    for way, new in changes:
        if way in places(document):
            document = changed(document, way, new)
    data = json.dumps(document).encode()
    whole, intake = as_whole(data, strict), Intake("x", strict)
    with patch.object(json_stream, "SLICE_BYTES", size):
        form = read_slices(iter([data]), intake)
    if form is not None:
        assert whole == (intake.report(form), [str(row) for row in intake.skipped])
    else:
        assert whole is None or not isinstance(document.get("roas"), list)


@given(SNAPSHOTS)
def test_what_is_written_reads_as_the_same(snapshot: Snapshot) -> None:
    assert read_bytes(b"".join(encode(snapshot, {})), "x").snapshot == snapshot


@given(st.lists(vrps(), max_size=20), st.sampled_from(["AS", "as", ""]), st.sampled_from(["\n", "\r\n"]))
def test_csv_in_every_spelling(rows: list[Vrp], lead: str, end: str) -> None:
    lines = ["ASN,IP Prefix,Max Length,Trust Anchor"]
    lines += [f'{lead}{vrp.asn},"{vrp.prefix}",{vrp.max_length},' for vrp in rows]
    report = check(end.join(lines).encode())
    assert report is not None
    assert (report.snapshot, report.rows) == (Snapshot.from_vrps(rows), len(rows))
