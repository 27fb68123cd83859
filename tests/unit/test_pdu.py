"""PDUs against golden octets: both directions, whole, octet by octet, and with more behind them."""

import pytest

from rov import Aspa, Prefix, RouterKey, Vrp
from rtr_server.protocol.decode import PduReader, clean_text, decode
from rtr_server.protocol.errors import ErrorCode, PduError, is_defined, is_fatal
from rtr_server.protocol.pdu import (
    AspaPdu,
    CacheReset,
    CacheResponse,
    EndOfData,
    ErrorReport,
    PrefixPdu,
    ResetQuery,
    RouterKeyPdu,
    SerialNotify,
    SerialQuery,
)

SID = 0x1234
SPKI = bytes(range(91))
KEY = RouterKey(64496, bytes(range(20)), SPKI)

GOLDEN = {
    "serial notify": (SerialNotify(1, SID, 5), "01 00 12 34 00 00 00 0c 00 00 00 05"),
    "serial query": (SerialQuery(1, SID, 5), "01 01 12 34 00 00 00 0c 00 00 00 05"),
    "reset query": (ResetQuery(1), "01 02 00 00 00 00 00 08"),
    "cache response": (CacheResponse(1, SID), "01 03 12 34 00 00 00 08"),
    "ipv4 announce": (
        PrefixPdu(1, True, Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)),
        "01 04 00 00 00 00 00 14 01 18 18 00 c0 00 02 00 00 00 fb f0",
    ),
    "ipv4 withdraw": (
        PrefixPdu(0, False, Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)),
        "00 04 00 00 00 00 00 14 00 18 18 00 c0 00 02 00 00 00 fb f0",
    ),
    "ipv6 announce": (
        PrefixPdu(1, True, Vrp(Prefix.parse("2001:db8::/32"), 48, 64496)),
        "01 06 00 00 00 00 00 20 01 20 30 00 20 01 0d b8" + " 00" * 12 + " 00 00 fb f0",
    ),
    "end of data v0": (EndOfData(0, SID, 5), "00 07 12 34 00 00 00 0c 00 00 00 05"),
    "end of data v1": (
        EndOfData(1, SID, 5, 3600, 600, 7200),
        "01 07 12 34 00 00 00 18 00 00 00 05 00 00 0e 10 00 00 02 58 00 00 1c 20",
    ),
    "cache reset": (CacheReset(1), "01 08 00 00 00 00 00 08"),
    "router key": (
        RouterKeyPdu(1, True, KEY),
        "01 09 01 00 00 00 00 7b " + bytes(range(20)).hex() + "00 00 fb f0" + SPKI.hex(),
    ),
    "aspa announce": (
        AspaPdu(2, True, Aspa(64496, (64497, 64498))),
        "02 0b 01 00 00 00 00 14 00 00 fb f0 00 00 fb f1 00 00 fb f2",
    ),
    "aspa withdraw": (AspaPdu(2, False, Aspa(64496, ())), "02 0b 00 00 00 00 00 0c 00 00 fb f0"),
    "error 2": (ErrorReport(1, 2), "01 0a 00 02 00 00 00 10 00 00 00 00 00 00 00 00"),
    "error 4": (
        ErrorReport(2, 4, bytes.fromhex("0302000000000008"), "unsupported"),
        "02 0a 00 04 00 00 00 23 00 00 00 08 03 02 00 00 00 00 00 08 00 00 00 0b" + b"unsupported".hex(),
    ),
}

golden = pytest.mark.parametrize(("pdu", "octets"), GOLDEN.values(), ids=GOLDEN)


@golden
def test_encode(pdu, octets):
    assert pdu.encode() == bytes.fromhex(octets)


@golden
def test_decode(pdu, octets):
    assert decode(bytes.fromhex(octets)) == pdu


@golden
def test_reader_whole_with_more_behind(pdu, octets):
    reader = PduReader()
    reader.receive_data(bytes.fromhex(octets) + b"\x01\x02\x00")
    assert reader.next_pdu() == pdu
    assert reader.next_pdu() is None
    assert len(reader) == 3


@golden
def test_reader_octet_by_octet(pdu, octets):
    reader = PduReader()
    *first, last = bytes.fromhex(octets)
    for octet in first:
        reader.receive_data(bytes([octet]))
        assert reader.next_pdu() is None
    reader.receive_data(bytes([last]))
    assert reader.next_pdu() == pdu


@golden
def test_cut_short_or_too_long(pdu, octets):
    whole = bytes.fromhex(octets)
    for wrong in (whole[:-1], whole + b"\0", whole[:7], b""):
        with pytest.raises(PduError) as caught:
            decode(wrong)
        assert caught.value.code is ErrorCode.CORRUPT_DATA


BAD = {
    "length below 8": ("01 02 00 00 00 00 00 07", 0),
    "length above 65535": ("01 0a 00 00 00 01 00 00", 0),
    "version 3": ("03 02 00 00 00 00 00 08", 4),
    "type 5": ("02 05 00 00 00 00 00 08", 5),
    "type 12": ("02 0c 00 00 00 00 00 08", 5),
    "router key in v0": ("00 09 00 00 00 00 00 7b", 5),
    "aspa in v1": ("01 0b 00 00 00 00 00 0c 00 00 fb f0", 5),
    "reset query of 12": ("01 02 00 00 00 00 00 0c 00 00 00 00", 0),
    "end of data v0 of 24": ("00 07 12 34 00 00 00 18" + " 00" * 16, 0),
    "end of data v1 of 12": ("01 07 12 34 00 00 00 0c 00 00 00 05", 0),
    "ipv4 length 33": ("01 04 00 00 00 00 00 14 01 21 21 00 c0 00 02 00 00 00 fb f0", 0),
    "ipv4 max length below length": ("01 04 00 00 00 00 00 14 01 18 17 00 c0 00 02 00 00 00 fb f0", 0),
    "ipv4 max length 33": ("01 04 00 00 00 00 00 14 01 18 21 00 c0 00 02 00 00 00 fb f0", 0),
    "ipv4 host bits": ("01 04 00 00 00 00 00 14 01 18 18 00 c0 00 02 01 00 00 fb f0", 0),
    "ipv6 host bits": (
        "01 06 00 00 00 00 00 20 01 20 30 00 20 01 0d b8" + " 00" * 11 + " 01 00 00 fb f0",
        0,
    ),
    "router key without key": ("01 09 01 00 00 00 00 20" + " 00" * 24, 0),
    "aspa of 15": ("02 0b 01 00 00 00 00 0f 00 00 fb f0 00 00 fb", 0),
    "aspa announce without providers": ("02 0b 01 00 00 00 00 0c 00 00 fb f0", 9),
    "aspa withdraw with providers": ("02 0b 00 00 00 00 00 10 00 00 fb f0 00 00 fb f1", 9),
    "aspa not ascending": ("02 0b 01 00 00 00 00 14 00 00 fb f0 00 00 fb f2 00 00 fb f1", 9),
    "aspa twice the same": ("02 0b 01 00 00 00 00 14 00 00 fb f0 00 00 fb f1 00 00 fb f1", 9),
    "aspa AS 0 in company": ("02 0b 01 00 00 00 00 14 00 00 fb f0 00 00 00 00 00 00 fb f1", 9),
    "error report of 15": ("01 0a 00 00 00 00 00 0f 00 00 00 00 00 00 00", 0),
    "error report, PDU too long": ("01 0a 00 00 00 00 00 10 00 00 00 01 00 00 00 00", 0),
    "error report, text too long": ("01 0a 00 00 00 00 00 10 00 00 00 00 00 00 00 01", 0),
    "error report, text too short": ("01 0a 00 00 00 00 00 11 00 00 00 00 00 00 00 00 41", 0),
}


@pytest.mark.parametrize(("octets", "code"), BAD.values(), ids=BAD)
def test_bad_pdu(octets, code):
    with pytest.raises(PduError) as caught:
        decode(bytes.fromhex(octets))
    assert caught.value.code == code


IGNORED = {
    "C04 reset query with a session id": ("01 02 12 34 00 00 00 08", ResetQuery(1)),
    "C04 cache reset": ("01 08 ff ff 00 00 00 08", CacheReset(1)),
    "C04 reserved flags and zero octets": (
        "01 04 ff ff 00 00 00 14 fe 18 18 ff c0 00 02 00 00 00 fb f0",
        PrefixPdu(1, False, Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)),
    ),
    "C04 aspa": ("02 0b fe ff 00 00 00 0c 00 00 fb f0", AspaPdu(2, False, Aspa(64496, ()))),
}


@pytest.mark.parametrize(("octets", "pdu"), IGNORED.values(), ids=IGNORED)
def test_zero_fields_are_ignored(octets, pdu):
    assert decode(bytes.fromhex(octets)) == pdu


def test_longest_aspa_fits():
    pdu = AspaPdu(2, True, Aspa(1, tuple(range(1, 16381))))
    assert len(pdu.encode()) == 65532
    assert decode(pdu.encode()) == pdu


@pytest.mark.parametrize("size", [201, 65535])
def test_c34_error_report_is_cut(size):
    report = ErrorReport(1, 0, bytes(size), "ä" * 200)
    decoded = decode(report.encode())
    assert decoded.pdu == bytes(200)
    assert decoded.text == "ä" * 64


def test_text_of_a_peer_is_harmless():
    assert clean_text(b"line\nbreak \xff\x7f\0\0") == "line\ufffdbreak \ufffd\ufffd"


@pytest.mark.parametrize(("version", "last", "survivable"), [(0, 7, {2}), (1, 8, {2}), (2, 13, {2, 4, 12})])
def test_codes_of_versions(version, last, survivable):
    assert max(code for code in range(256) if is_defined(code, version)) == last
    assert {code for code in range(256) if not is_fatal(code, version)} == survivable
