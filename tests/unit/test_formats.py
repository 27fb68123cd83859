"""Every format in small, what each fault is called, and compressed data sound and damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rov import Snapshot, VrpColumns, VrpFileError, encode
from rov.formats import read, read_bytes, read_report
from rov.formats.report import MAX_REPORTED
from rov.formats.times import parse_time
from tests.vrp_texts import RPKI_CLIENT, TWO, fault

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


@pytest.mark.parametrize("text", ["", "N/A"])
def test_absent_times(text: str) -> None:
    assert parse_time(text) is None


@pytest.mark.parametrize("text", ["tomorrow", "1969-12-31T23:59:59Z", "2025-13-01T00:00:00Z"])
def test_bad_times(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_times_with_a_zone() -> None:
    assert parse_time("2025-07-20T11:31:33+02:00") == parse_time("2025-07-20 09:31:33") == 1753003893


def test_bad_rows_are_told_in_the_order_of_the_file() -> None:
    """Whose types do not fit is found out before the others are looked at."""
    rows: list[object] = [{}, None] * (MAX_REPORTED + 2)
    report = read_bytes(json.dumps({"roas": rows}).encode(), "x", strict=False)
    assert [bad.row for bad in report.skipped] == list(range(1, MAX_REPORTED + 1))
    assert report.skipped_count == len(rows)


LAST_SECOND = 253_402_300_799
"""Of the year 9999: no certificate states a later time."""


def test_a_time_after_the_year_9999_is_a_fault() -> None:
    text = '{"roas": [{"asn": 1, "prefix": "10.0.0.0/8", "expires": %d}]}'
    assert read_bytes((text % LAST_SECOND).encode(), "x").rows == 1
    with pytest.raises(VrpFileError, match="expires 253402300800: expected a time"):
        read_bytes((text % (LAST_SECOND + 1)).encode(), "x")


@pytest.mark.parametrize("form", ["jsonext", "csvext"])
def test_dates_end_with_the_year_9999(form: str) -> None:
    """One more digit would shift all that stands behind it."""
    for late in (LAST_SECOND, LAST_SECOND + 1, 2**62):
        columns = VrpColumns.ipv4([10 << 24], [8], [8], [64496], expires=[late])
        text = b"".join(encode(Snapshot.build(columns), form, at=0))
        assert read_bytes(text, "x").snapshot.ipv4.expires.tolist() == [LAST_SECOND], late
