"""rov.bulk: every form in and out, cut anywhere, against validate; what is wrong names its row."""

import json
import random

import msgpack
import pyarrow as pa
import pytest

from rov import ArgumentError, Prefix, PrefixError, Snapshot, State, Vrp, VrpIndex
from rov.bulk import FORMS, Validator

INDEX = VrpIndex(
    Snapshot.from_vrps(
        [
            Vrp(Prefix.parse("192.0.2.0/24"), 26, 64496),
            Vrp(Prefix.parse("198.51.100.0/24"), 24, 0),
            Vrp(Prefix.parse("2001:db8::/32"), 48, 64496),
        ]
    )
)
PREFIXES = [
    "192.0.2.0/24",
    "192.0.2.0/27",
    "198.51.100.0/24",
    "10.0.0.0/8",
    "2001:db8::/48",
    "2001:DB8::/49",
    "::/0",
]


def routes(count, seed=1):
    rng = random.Random(seed)
    return [(rng.choice(PREFIXES), rng.choice([64496, 64497, 0, 4294967295])) for _ in range(count)]


def encoded(form, rows, *, chunk=50):
    if form == "ndjson":
        return b"".join(b'{"prefix":"%s","origin":%d}\n' % (p.encode(), o) for p, o in rows)
    if form == "msgpack":
        return b"".join(msgpack.packb({"prefix": p, "origin": o}) for p, o in rows)
    table = pa.table({"prefix": [p for p, _ in rows], "origin": pa.array([o for _, o in rows], pa.uint32())})
    return ipc(table.to_batches(chunk), table.schema)


def ipc(batches, schema, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, **options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def decoded(form, octets):
    if form == "ndjson":
        rows = [json.loads(line) for line in octets.splitlines()]
    elif form == "msgpack":
        unpacker = msgpack.Unpacker()
        unpacker.feed(octets)
        rows = list(unpacker)
    else:
        rows = pa.ipc.open_stream(octets).read_all().to_pylist()
    return [tuple(row[name] for name in ("prefix", "origin", "state", "reason")) for row in rows]


def answer(octets, reads, writes, size=1 << 20, **options):
    validator = Validator(INDEX, reads, writes, **options)
    found = b"".join(validator.feed(octets[at : at + size]) for at in range(0, len(octets), size))
    return found + validator.end(), validator.rows


def expected(rows):
    found = []
    for prefix, origin in rows:
        verdict = INDEX.explain(prefix, origin)
        found.append((prefix, origin or None, verdict.state.label, verdict.reason.label))
    return found


@pytest.mark.parametrize("writes", FORMS)
@pytest.mark.parametrize("reads", FORMS)
@pytest.mark.parametrize("size", [1 << 20, 7])
def test_every_form_in_and_out(reads, writes, size):
    rows = routes(333)
    octets, count = answer(encoded(reads, rows), reads, writes, size)
    assert decoded(writes, octets) == expected(rows)
    assert count == 333


@pytest.mark.parametrize(
    ("reads", "writes"), [("ndjson", "arrow"), ("msgpack", "ndjson"), ("arrow", "msgpack")]
)
def test_no_rows(reads, writes):
    assert decoded(writes, answer(encoded(reads, []), reads, writes)[0]) == []


def test_lines_that_are_not_plain():
    text = "\n".join(
        [
            '  {"asn": "AS64496", "prefix": "192.0.2.0/24", "id": 7, "note": "x"}  \r',
            "",
            '{"prefix": "192.0.2.0\\/24", "origin": 64496, "more": {"a": [1, 2.5e3, null, "}"]}}',
            '{"prefix": "192.0.2.0/24", "origin": null}',
            '{"prefix": "192.0.2.0/24"}',
            '{"prefix": "10.0.0.0/8", "prefix": "192.0.2.0/24", "origin": "64496", "ü": "ü"}',
        ]
    )
    found = decoded("ndjson", answer(text.encode(), "ndjson", "ndjson")[0])
    assert [(origin, state) for _, origin, state, _ in found] == [
        (64496, "valid"),
        (64496, "valid"),
        (None, "invalid"),
        (None, "invalid"),
        (64496, "valid"),
    ]
    assert {prefix for prefix, *_ in found} == {"192.0.2.0/24"}


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        ({"origin": 64496, "asn": 64497}, 64496),
        ({"asn": 64497, "origin": 64496}, 64496),
        ({"asn": 64497, "origin": None}, 64497),
        ({"origin": None, "asn": 64497}, 64497),
        ({"asn": 64497, "origin": 0}, None),
        ({"asn": "AS64497", "origin": "AS64496"}, 64496),
    ],
)
def test_origin_counts_before_asn_however_the_row_is_written(fields, origin):
    row = {"prefix": "192.0.2.0/24"} | fields
    plain = json.dumps(row).encode() + b"\n"
    escaped = plain.replace(b"2.0/24", b"2.0\\/24")
    for form, octets in (("ndjson", plain), ("ndjson", escaped), ("msgpack", msgpack.packb(row))):
        found, _ = answer(octets, form, "ndjson")
        assert json.loads(found)["origin"] == origin


def test_msgpack_of_all_kinds():
    rows = [
        ["192.0.2.0/24", 64496],
        {"prefix": "192.0.2.0/24", "asn": "AS64496", "x": {"y": [1, b"z", 2.5, msgpack.Timestamp(1)]}},
        {b"prefix": b"192.0.2.0/24", "origin": None},
    ]
    plain = b"".join(map(msgpack.packb, rows))
    states = ["valid", "valid", "invalid"]
    assert [row[2] for row in decoded("msgpack", answer(plain, "msgpack", "msgpack")[0])] == states
    for size in (1, 1000):
        found = answer(msgpack.packb(rows), "msgpack", "msgpack", size)[0]
        assert [row["state"] for row in msgpack.unpackb(found)] == states
    assert msgpack.unpackb(answer(msgpack.packb([]), "msgpack", "msgpack")[0]) == []


def test_arrow_of_all_kinds():
    prefixes = ["192.0.2.0/24", "10.0.0.0/8", "192.0.2.0/24"]
    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.table({"n": [1, 2, 3], "asn": [64496, None, 1], "prefix": pa.array(prefixes).cast(kind)})
        found = decoded("ndjson", answer(ipc(table.to_batches(), table.schema), "arrow", "ndjson")[0])
        assert [(p, o, s) for p, o, s, _ in found] == [
            ("192.0.2.0/24", 64496, "valid"),
            ("10.0.0.0/8", None, "not_found"),
            ("192.0.2.0/24", 1, "invalid"),
        ]


GOOD = b'{"prefix":"10.0.0.0/8","origin":1}\n'


@pytest.mark.parametrize(
    ("reads", "octets", "told"),
    [
        ("ndjson", GOOD * 3 + b'{"prefix":"10.0.0.1/8","origin":1}\n', "row 3: '1"),
        ("ndjson", GOOD + b'{"prefix":"\\u0031","origin":1}\n', "row 1: "),
        ("ndjson", GOOD + b'{"prefix":"10.0.0.0/8","origin":4294967296}', "row 1: origin"),
        ("ndjson", GOOD + b'{"prefix":"10.0.0.0/8","origin":"ASX"}', "row 1: origin 'ASX'"),
        ("ndjson", GOOD + b'{"prefix":"10.0.0.0/8","origin":-1}', "row 1: origin"),
        ("ndjson", GOOD + b'{"prefix":"10.0.0.0/8","origin":1', "row 1: expected"),
        ("ndjson", GOOD + b'["10.0.0.0/8",1]', "row 1: expected"),
        ("ndjson", GOOD + b"\xff\xfe", "row 1: expected"),
        ("ndjson", GOOD + b"[" * 60_000, "row 1: expected"),
        ("ndjson", GOOD + b"x" * 70_000, "row 1: expected 65,536 octets"),
        ("ndjson", GOOD + b'{"prefix":"' + b"1" * 100 + b'","origin":1}', "row 1: '1"),
        ("msgpack", msgpack.packb(["10.0.0.0/8", 1]) + b"\xc1", "row 1: expected"),
        ("msgpack", msgpack.packb({"origin": 1}), "row 0: expected"),
        ("msgpack", msgpack.packb({"prefix": "10.0.0.0/8", "origin": 2**32}), "row 0: expected"),
        ("msgpack", msgpack.packb(["10.0.0.0/33", 1]), "row 0: '1"),
        ("msgpack", msgpack.packb(["10.0.0.0/8", 1])[:-1], "row 0: the body ends early"),
        ("msgpack", b"\xdd\xff\xff\xff\xff" + msgpack.packb(["10.0.0.0/8", 1]), "row 1: the body ends early"),
        ("msgpack", b"\x91" + msgpack.packb(["10.0.0.0/8", 1]) * 2, "row 1: expected the end"),
        ("msgpack", b"\x81\xa1x\xdb\xff\xff\xff\xff" + b"y" * 70_000, "row 0: expected 65,536 octets"),
        ("arrow", b"", "row 0: the stream ends early"),
        ("arrow", b"nonsense" * 9, "row 0: expected a stream of Arrow IPC"),
        ("arrow", b"\xff\xff\xff\xff\x08\x00\x00\x00" + b"\xff" * 8, "row 0: a message"),
        ("arrow", encoded("arrow", [("10.0.0.0/8", 1)])[:-30], "row 0: the stream ends early"),
        ("arrow", encoded("arrow", [("10.0.0.0/8", 1)]) + b"x" * 8, "expected nothing after the end"),
        ("arrow", encoded("arrow", [("10.0.0.0/8", 1), ("10.0.0.1/8", 1)]), "row 1: '1"),
    ],
)  # fmt: skip
def test_what_is_wrong_names_its_row(reads, octets, told):
    for size in (1 << 20, 11):
        with pytest.raises((ArgumentError, PrefixError)) as caught:
            answer(octets, reads, "ndjson", size)
        assert told in str(caught.value)


def test_arrow_that_asks_for_much():
    table = pa.table({"prefix": ["10.0.0.0/8"] * 9, "origin": [1] * 9})
    packed = ipc(table.to_batches(), table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
    with pytest.raises(ArgumentError, match="compressed buffers"):
        answer(packed, "arrow", "ndjson")
    nulls = pa.record_batch([pa.nulls(5_000_000)] * 2, names=["prefix", "origin"])
    with pytest.raises(ArgumentError, match="expected 4,194,304 at most"):
        answer(ipc([nulls], nulls.schema), "arrow", "ndjson")
    with pytest.raises(ArgumentError, match="smaller batches"):
        answer(encoded("arrow", routes(50)), "arrow", "ndjson", most=600)
    for other in (
        pa.table({"x": [1]}),
        pa.table({"prefix": [1], "origin": [1]}),
        pa.table({"prefix": [b""]}),
    ):
        with pytest.raises(ArgumentError, match="expected"):
            answer(ipc(other.to_batches(), other.schema), "arrow", "ndjson")
    table = pa.table({"prefix": ["10.0.0.0/8", None], "origin": [1, 1]})
    with pytest.raises(ArgumentError, match="row 1: expected a prefix, found null"):
        answer(ipc(table.to_batches(), table.schema), "arrow", "ndjson")


@pytest.mark.parametrize("reads", FORMS)
def test_spoiled_octets_are_refused_or_read_but_nothing_else(reads):
    """Octets of a sound stream exchanged at random."""
    rng = random.Random(9)
    sound = encoded(reads, routes(20), chunk=7)
    refused = 0
    for _ in range(600):
        octets = bytearray(sound)
        for _ in range(rng.choice([1, 1, 2, 8])):
            octets[rng.randrange(len(octets))] = rng.randrange(256)
        try:
            answer(bytes(octets), reads, "ndjson", rng.choice([13, 1 << 20]))
        except (ArgumentError, PrefixError):
            refused += 1
    assert refused > 100


def test_arguments():
    for reads, writes in (("json", "ndjson"), ("ndjson", "xml")):
        with pytest.raises(ArgumentError, match="expected ndjson, msgpack, arrow"):
            Validator(INDEX, reads, writes)
    with pytest.raises(ArgumentError):
        Validator(None, "ndjson", "ndjson")
    assert State(0).label == "not_found"
