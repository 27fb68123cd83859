"""Every format in small, what each fault is called, and compressed data sound and damaged."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp, VrpFileError
from rov.formats import compression, payload, read, read_bytes, read_report
from rov.formats.report import MAX_REPORTED
from rov.formats.rpki_client import encode
from rov.formats.times import parse_time

SKI = "5D4250E2D81D4448D8A29EFCE91D29FF075EC9E2"
SPKI = b"\x30\x59" + bytes(range(89))
PUBKEY = base64.b64encode(SPKI).decode()
KEY = RouterKey(15562, bytes.fromhex(SKI), SPKI)

TWO = Snapshot.from_vrps(
    [Vrp(Prefix.parse("192.0.2.0/24"), 25, 64496), Vrp(Prefix.parse("2001:db8::/32"), 32, 4200000000)]
)
"""What each good file below holds."""

RPKI_CLIENT = """{
  "metadata": {"buildmachine": "x", "buildtime": "2025-07-20T09:31:33Z"},
  "roas": [
    { "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe", "expires": 1753453058 },
    { "asn": 4200000000, "prefix": "2001:DB8::/32", "maxLength": 32, "ta": "apnic", "expires": 1753590490 }
  ],
  "nonfunc_cas": [{"location": "x"}],
  "signedprefixlists": [{"asid": 1, "prefixes": ["192.0.2.0/24"]}]
}"""

ROUTINATOR = """{
  "metadata": {"generated": 1753003893, "generatedTime": "2025-07-20T09:31:33Z"},
  "roas": [
    { "asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe" },
    { "asn": "AS4200000000", "prefix": "2001:db8::/32", "maxLength": 32, "ta": "apnic" }
  ]
}"""

ROUTINATOR_EXTENDED = """{
  "metadata": {"generated": 1753003893, "generatedTime": "2025-07-20T09:31:33Z"},
  "roas": [
    { "asn": "AS64496", "prefix": "192.0.2.0/24", "maxLength": 25, "source": [
      { "type": "roa", "uri": "rsync://x/y.roa", "tal": "ripe",
        "validity": { "notBefore": "2025-01-01T00:00:00Z", "notAfter": "2026-01-01T00:00:00Z" },
        "chainValidity": { "notBefore": "2025-01-01T00:00:00Z", "notAfter": "2025-07-25T14:17:38Z" },
        "stale": "2025-07-21T00:00:00Z" },
      { "type": "roa", "uri": null, "tal": "ripe",
        "validity": { "notBefore": "2025-01-01T00:00:00Z", "notAfter": "2025-07-22T00:00:00Z" } } ]},
    { "asn": "AS4200000000", "prefix": "2001:db8::/32", "maxLength": 32,
      "source": [ { "type": "exception", "path": null } ] }
  ]
}"""

GOOD = {
    "rpki-client JSON": RPKI_CLIENT,
    "Routinator JSON": ROUTINATOR,
    "Routinator extended JSON": ROUTINATOR_EXTENDED,
    "gortr JSON": '{"metadata":{"counts":2,"generated":1753003893,"valid":1753007493},"roas":['
    '{"prefix":"192.0.2.0/24","maxLength":25,"asn":"AS64496","ta":"RIPE","expires":1753453058},'
    '{"prefix":"2001:db8::/32","maxLength":"32","asn":"as4200000000","ta":"APNIC"}]}',
    "JSON": '{"roas":[{"asn":"64496","prefix":"192.0.2.0/24","maxLength":25,"mnt-by":"X-MNT"},'
    '{"asn":"AS4200000000","prefix":"2001:db8::/32"}]}',
    "JSON list": '[{"prefix":"192.0.2.0/24","maxLength":25,"asn":"64496"},'
    '{"prefix":"2001:db8::/32","maxLength":32,"asn":4200000000}]',
    "Routinator CSV": "ASN,IP Prefix,Max Length,Trust Anchor\n"
    "AS64496,192.0.2.0/24,25,ripe\nAS4200000000,2001:db8::/32,32,apnic\n",
    "RIPE NCC validator CSV": '"ASN","IP Prefix","Max Length","Trust Anchor"\r\n'
    '"AS64496","192.0.2.0/24","25","RIPE NCC, Root"\r\n"4200000000","2001:db8::/32","32","APNIC"\r\n',
    "Routinator extended CSV": "URI,ASN,IP Prefix,Max Length,Not Before,Not After\n"
    "rsync://x/y,AS64496,192.0.2.0/24,25,2025-01-01 00:00:00,2025-07-25 14:17:38\n"
    "N/A,AS4200000000,2001:db8::/32,32,N/A,N/A\n",
    "rpki-client CSV": "ASN,IP Prefix,Max Length,Trust Anchor,Expires\n"
    "AS64496,192.0.2.0/24,25,ripe,1753453058\nAS4200000000,2001:db8::/32,32,apnic,1753590490",
    "CSV": "ASN,Prefix,Max prefix length\nAS64496,192.0.2.0/24,25\n\nAS4200000000,2001:db8::/32,\n",
}


def fault(text: str | bytes, strict: bool = True) -> str:
    """The error that a file gives, without its name."""
    with pytest.raises(VrpFileError) as caught:
        read_bytes(text.encode() if isinstance(text, str) else text, "FILE", strict=strict)
    assert str(caught.value).startswith("FILE: ")
    return str(caught.value).removeprefix("FILE: ")


@pytest.mark.parametrize("form", GOOD)
@pytest.mark.parametrize("lead", ["", "\ufeff", "\n \t"])
def test_formats(form: str, lead: str) -> None:
    report = read_bytes((lead + GOOD[form]).encode(), "x")
    assert report.snapshot == TWO
    assert (report.format, report.rows, report.skipped_count, report.skipped) == (form, 2, 0, ())


def test_path_may_be_text_or_path(tmp_path: Path) -> None:
    path = tmp_path / "vrps.csv"
    path.write_text(GOOD["Routinator CSV"])
    assert read(path) == read(str(path)) == read_report(path).snapshot == TWO


@pytest.mark.parametrize("form", ["rpki-client JSON", "rpki-client CSV"])
def test_expires_and_trust_anchors(form: str) -> None:
    snapshot = read_bytes(GOOD[form].encode(), "x").snapshot
    assert snapshot.trust_anchors == ("ripe", "apnic")
    assert (snapshot.ipv4.ta.tolist(), snapshot.ipv6.ta.tolist()) == ([0], [1])
    assert (snapshot.ipv4.expires.tolist(), snapshot.ipv6.expires.tolist()) == ([1753453058], [1753590490])


@pytest.mark.parametrize("form", ["Routinator extended JSON", "Routinator extended CSV"])
def test_not_after_is_the_expiry_and_an_exception_has_none(form: str) -> None:
    snapshot = read_bytes(GOOD[form].encode(), "x").snapshot
    assert snapshot.ipv4.expires.tolist() == [1753453058]
    assert snapshot.ipv6.expires.tolist() == [0]


@pytest.mark.parametrize(
    ("metadata", "generated"),
    [
        ('{"generated": 1753003893}', 1753003893),
        ('{"buildtime": "2025-07-20T09:31:33Z"}', 1753003893),
        ('{"buildtime": "Sun Jul 20", "generatedTime": "2025-07-20T09:31:33Z"}', 1753003893),
        ('{"buildtime": 3}', None),
        ('{"generated": -1}', None),
        ('{"buildtime": "\udcff"}', None),
        ("null", None),
        ("[]", None),
    ],
)
def test_generated(metadata: str, generated: int | None) -> None:
    text = f'{{"metadata": {metadata}, "roas": []}}'
    assert read_bytes(text.encode("utf-8", "surrogateescape"), "x").snapshot.generated == generated


BAD_ROWS = {
    '"asn": "AS", "prefix": "192.0.2.0/24"': "asn 'AS': expected 0 to 4294967295",
    '"asn": 4294967296, "prefix": "192.0.2.0/24"': "asn 4294967296: expected 0 to 4294967295",
    '"asn": -1, "prefix": "192.0.2.0/24"': "asn -1: expected",
    '"asn": "AS-1", "prefix": "192.0.2.0/24"': "asn 'AS-1': expected",
    '"asn": "AS1.5", "prefix": "192.0.2.0/24"': "asn 'AS1.5': expected",
    '"asn": "", "prefix": "192.0.2.0/24"': "asn '': expected",
    '"asn": 18446744073709551617, "prefix": "192.0.2.0/24"': "asn 18446744073709551617",
    '"prefix": "192.0.2.0/24"': "asn None: expected",
    '"asn": true, "prefix": "192.0.2.0/24"': "Expected `int | str | null`, got `bool` - at `$.asn`",
    '"asn": 1': "prefix None: expected",
    '"asn": 1, "prefix": 5': "Expected `str | null`, got `int` - at `$.prefix`",
    '"asn": 1, "prefix": "192.0.2.0"': "prefix '192.0.2.0': expected ADDRESS/LENGTH",
    '"asn": 1, "prefix": "192.0.2.1/24"': "host bits",
    '"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 23': "maxLength 23 of 192.0.2.0/24: expected 24 to 32",
    '"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 33': "maxLength 33 of 192.0.2.0/24: expected 24 to 32",
    '"asn": 1, "prefix": "2001:db8::/32", "maxLength": 129': "expected 32 to 128",
    '"asn": 1, "prefix": "192.0.2.0/24", "maxLength": "AS24"': "maxLength 'AS24'",
    '"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 24.5': "Expected `int | str | null`, got `float`",
    '"asn": 1, "prefix": "192.0.2.0/24", "expires": -5': "expires -5: expected a time",
    '"asn": 1, "prefix": "192.0.2.0/24", "expires": 1753003893000': "expires 1753003893000: expected",
    '"asn": 1, "prefix": "192.0.2.0/24", "ta": 5': "got `int` - at `$.ta`",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_bad_row_is_named_or_left_out(row: str) -> None:
    good = '{"asn": 64496, "prefix": "198.51.100.0/24"}'
    text = f'{{"roas": [{good}, {{{row}}}, {good}]}}'
    message = fault(text)
    assert message.startswith("row 2: ")
    assert BAD_ROWS[row] in message
    report = read_bytes(text.encode(), "x", strict=False)
    assert (len(report.snapshot), report.rows, report.skipped_count) == (1, 3, 1)
    assert (report.skipped[0].section, report.skipped[0].row) == ("roas", 2)
    assert BAD_ROWS[row] in str(report.skipped[0])


def test_row_is_an_attribute_of_the_error() -> None:
    with pytest.raises(VrpFileError) as caught:
        read_bytes(b'[{"asn": 1, "prefix": "192.0.2.0/24"}, {"asn": 1}]', "FILE")
    assert (caught.value.path, caught.value.row) == ("FILE", 2)


def test_a_type_fault_does_not_shift_the_numbers_of_later_faults() -> None:
    rows = ["null", '{"asn": 1, "prefix": "192.0.2.0/24"}', '{"asn": "AS", "prefix": "192.0.2.0/24"}', "[]"]
    report = read_bytes(f"[{','.join(rows)}]".encode(), "x", strict=False)
    assert sorted(row.row for row in report.skipped) == [1, 3, 4]


def test_only_the_first_bad_rows_are_described() -> None:
    report = read_bytes(json.dumps([{"asn": 1}] * 1000).encode(), "x", strict=False)
    assert (report.skipped_count, len(report.skipped), report.rows) == (1000, MAX_REPORTED, 1000)


def test_csv_rows_are_counted_as_lines() -> None:
    text = "ASN,IP Prefix,Max Length,Trust Anchor\nAS1,192.0.2.0/24,24,x\n\nAS1,192.0.2.0/24,24\n"
    assert fault(text) == "row 4: expected 4 fields as in the first line, found 3"
    text = "ASN,IP Prefix,Not After\nAS1,192.0.2.0/24,tomorrow\nAS1,192.0.2.0/24,2025-07-20T09:31:33Z\n"
    assert "row 2: Not After 'tomorrow': expected a time" in fault(text)
    report = read_bytes(text.encode(), "x", strict=False)
    assert (report.rows, report.skipped_count, report.snapshot.ipv4.expires.tolist()) == (2, 1, [1753003893])


@pytest.mark.parametrize(
    "text", ['ASN,IP Prefix\n"AS1', 'ASN,IP Prefix\n"AS1"x,192.0.2.0/24\n', "ASN,IP Prefix\n" + "1" * 200_000]
)
def test_unsound_csv(text: str) -> None:
    assert "no sound CSV" in fault(text)


def test_csv_that_is_no_text() -> None:
    assert "no UTF-8 text at octet 14" in fault(b"ASN,IP Prefix\n\xff\xfe")


def test_repeated_rows_are_one_vrp_that_lasts_longest() -> None:
    rows = [{"asn": 1, "prefix": "192.0.2.0/24", "expires": time} for time in (5, 9, 7)]
    report = read_bytes(json.dumps(rows).encode(), "x")
    assert (report.rows, report.snapshot.ipv4.expires.tolist()) == (3, [9])


def test_more_trust_anchors_than_a_snapshot_holds() -> None:
    rows = [{"asn": 1, "prefix": "192.0.2.0/24", "ta": f"ta{n}"} for n in range(257)]
    assert "at most 256 different trust anchors" in fault(json.dumps(rows))
    assert len(read_bytes(json.dumps(rows[:256]).encode(), "x").snapshot.trust_anchors) == 256


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


NO_VRPS = {
    b"": "found nothing",
    b" \n": "found nothing",
    b"<!DOCTYPE html><html>": "found an HTML page",
    b"<HTML>": "found an HTML page",
    b"<?xml version='1.0'?>": "found XML or HTML",
    b"roa-set {\n}": "found text that begins with 'roa-set {'",
    b"\x00\x01\x02": "found binary data",
    b"\xff\xd8\xff": "found binary data",
    b"AS1,192.0.2.0/24,24,ripe\n": "found text that begins with",
    b"{}": 'expected an object with a list "roas", found one with no keys at all',
    b'{"data": [], "x": 1}': "found one with 'data', 'x'",
    b'{"metadata": {"generated": 0}}': "found one with 'metadata'",
    b'{"slurmVersion": 1, "roas": []}': "expected a VRP file, found a SLURM file (RFC 8416)",
    b'{"roas": 5}': "JSON, but no VRPs as expected: Expected `array",
    b'{"roas": []': "no sound JSON: Input data was truncated",
    b'{"roas": []}{': "no sound JSON: JSON is malformed: trailing characters",
    b"[" * 100_000: "no sound JSON: nested too deeply",
    b'{"roas": [{"asn": 1, "prefix": "\xff"}]}': "no sound JSON",
}


@pytest.mark.parametrize("data", NO_VRPS, ids=lambda data: repr(data[:20]))
@pytest.mark.parametrize("strict", [True, False])
def test_what_is_no_vrp_file(data: bytes, strict: bool) -> None:
    assert NO_VRPS[data] in fault(data, strict)


def test_a_list_may_be_null_as_go_writes_an_empty_one() -> None:
    assert not read_bytes(b'{"roas": null, "aspas": null}', "x").snapshot


def test_unreadable_paths(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(VrpFileError, match=f"cannot be read: {reason}"):
            read(path)
    with pytest.raises(VrpFileError, match="null byte"):
        read("a\0b")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packing", PACKERS)
class TestCompression:
    def test_told_by_content(self, packing: str) -> None:
        assert read_bytes(PACKERS[packing](RPKI_CLIENT.encode()), "wrong.name.zip").snapshot == TWO

    def test_streams_one_after_the_other(self, packing: str) -> None:
        pack = PACKERS[packing]
        middle = len(RPKI_CLIENT) // 2
        data = pack(RPKI_CLIENT[:middle].encode()) + pack(b"") + pack(RPKI_CLIENT[middle:].encode())
        assert read_bytes(data, "x").snapshot == TWO
        assert read_bytes(data + bytes(512), "x").snapshot == TWO

    def test_cut_short_anywhere(self, packing: str) -> None:
        data = PACKERS[packing](RPKI_CLIENT.encode())
        for end in range(len(data)):
            fault(data[:end])
        assert "cut short" in fault(data[:-1])

    def test_followed_by_something_else(self, packing: str) -> None:
        data = PACKERS[packing](RPKI_CLIENT.encode())
        assert fault(data + b"xyz") == f"3 octets follow the end of the {packing} data"

    def test_damaged(self, packing: str) -> None:
        data = bytearray(PACKERS[packing](os.urandom(1000)))
        data[len(data) // 2] ^= 0xFF
        data[6] ^= 0xFF
        fault(bytes(data))

    def test_bomb(self, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compression, "MAX_FILE_BYTES", 3_000_000)
        monkeypatch.setattr(compression, "CHUNK_BYTES", 1_000_000)
        pack = PACKERS[packing]
        assert compression.unpack(pack(bytes(3_000_000)), "x") == bytes(3_000_000)
        assert "longer than 3,000,000 octets" in fault(pack(bytes(3_000_001)))
        assert "longer than 3,000,000 octets" in fault(pack(bytes(2_000_000)) * 2)

    def test_too_many_streams(self, packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compression, "MAX_STREAMS", 3)
        assert "more than 3" in fault(PACKERS[packing](b"x") * 4)


def test_a_plain_file_has_the_same_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MAX_FILE_BYTES", 100)
    path = tmp_path / "x.json"
    path.write_bytes(bytes(101))
    with pytest.raises(VrpFileError, match="longer than 100 octets"):
        read(path)


def test_a_pipe_states_no_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "CHUNK_BYTES", 100)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for limit, fits in ((len(RPKI_CLIENT), True), (len(RPKI_CLIENT) - 1, False)):
        monkeypatch.setattr(compression, "MAX_FILE_BYTES", limit)
        writer = threading.Thread(target=fifo.write_text, args=(RPKI_CLIENT,))
        writer.start()
        if fits:
            assert read(fifo) == TWO
        else:
            with pytest.raises(VrpFileError, match="longer than"):
                read(fifo)
        writer.join()


FULL = json.dumps(
    {
        "metadata": {"buildtime": "2025-07-20T09:31:33Z"},
        "roas": [
            {"asn": 1, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": 'a"b', "expires": 1753453058},
            {"asn": 0, "prefix": "2001:db8::/32", "maxLength": 48},
        ],
        "bgpsec_keys": [{"asn": 15562, "ski": SKI, "pubkey": PUBKEY, "expires": 1781212587}],
        "aspas": [{"customer_asid": 5, "providers": [6, 7], "expires": 1753070425}],
    }
)


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_what_is_written_reads_as_the_same(tmp_path: Path, suffix: str) -> None:
    snapshot = read_bytes(FULL.encode(), "x").snapshot
    path = tmp_path / f"out.json{suffix}"
    for _ in range(2):
        compression.write_file(path, encode(snapshot, {"buildtime": "2025-07-20T09:31:33Z"}))
    assert path.read_bytes().startswith(b"{") == (suffix == "")
    again = read_report(path)
    assert again.snapshot == snapshot
    assert again.format == "rpki-client JSON"
    assert again.snapshot.generated == snapshot.generated
    for family in ("ipv4", "ipv6"):
        ours, theirs = getattr(again.snapshot, family), getattr(snapshot, family)
        assert ours.expires.tolist() == theirs.expires.tolist()
        assert again.snapshot.trust_anchors[ours.ta[0]] == snapshot.trust_anchors[theirs.ta[0]]
    assert again.snapshot.aspa_expires.tolist() == [1753070425]
    assert again.snapshot.router_key_expires.tolist() == [1781212587]
    assert os.listdir(tmp_path) == [path.name]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    def chunks() -> list[bytes]:
        raise KeyboardInterrupt

    path = tmp_path / "out.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        compression.write_file(path, (chunk for chunk in chunks()))
    with pytest.raises(TypeError):
        compression.write_file(path, ["text"])  # type: ignore[list-item]
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["out.json"])


def test_a_special_file_is_written_in_place() -> None:
    compression.write_file(os.devnull, [b"x"])
    assert not os.path.isfile(os.devnull)


@pytest.mark.parametrize("text", ["", "N/A"])
def test_absent_times(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("text", ["tomorrow", "1969-12-31T23:59:59Z", "2025-13-01T00:00:00Z"])
def test_bad_times(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_times_with_a_zone() -> None:
    assert parse_time("2025-07-20T11:31:33+02:00") == parse_time("2025-07-20 09:31:33") == 1753003893


PEAK = """
import sys
import rov

def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))

before = kilobytes("VmRSS")
count = len(rov.read(sys.argv[1]))
print(count, 1024 * (kilobytes("VmHWM") - before))
"""


@pytest.mark.memory
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_neither_the_text_nor_its_rows_are_held_whole(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    row = '{{ "asn": {0}, "prefix": "10.{1}.{2}.0/24", "maxLength": 24, "ta": "x", "expires": 1753453058 }}'
    rows = [row.format(i >> 16, i >> 8 & 255, i & 255) for i in range(300_000)]
    text = ('{"roas": [\n' + ",\n".join(rows) + "\n]}").encode()
    path = tmp_path / "vrps"
    path.write_bytes(pack(text))
    command = [sys.executable, "-c", PEAK, str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    count, octets = map(int, output.split())
    assert count == 300_000
    # held whole, the text and its rows take five times the text
    assert octets < 1.5 * len(text), f"{octets} octets for a text of {len(text)}"
