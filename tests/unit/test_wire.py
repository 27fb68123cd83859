"""Encoding by numpy against the PDU structs one by one, and the order against its definition."""

import ipaddress

import numpy as np
import pytest

from rov import Aspa, Delta, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache import wire
from rtr_server.protocol.errors import ErrorCode, PduError
from rtr_server.protocol.pdu import AspaPdu, PrefixPdu, RouterKeyPdu
from tests.cache_ends import pdus


def vrp(prefix, max_length, asn):
    return Vrp(Prefix.parse(prefix), max_length, asn)


VRPS = [
    vrp("10.0.0.0/8", 8, 1),
    vrp("10.0.0.0/8", 24, 2),
    vrp("10.0.0.0/9", 9, 3),
    vrp("10.0.0.0/16", 16, 0),
    vrp("10.0.0.0/16", 16, 4),
    vrp("10.0.0.0/16", 24, 4),
    vrp("0.0.0.0/0", 0, 5),
    vrp("255.255.255.255/32", 32, 2**32 - 1),
    vrp("2001:db8::/32", 48, 1),
    vrp("2001:db8::/33", 33, 1),
    vrp("2001:db8::/32", 32, 1),
    vrp("2001:db8:0:1::/64", 64, 1),
    vrp("2001:db8::1/128", 128, 1),
    vrp("2001:db8:7::/64", 128, 1),
    vrp("2001:db8:7:0:8000::/65", 65, 1),
    vrp("::/0", 0, 0),
    vrp("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 128, 2**32 - 1),
]
KEYS = [
    RouterKey(7, bytes(20), b"zz"),
    RouterKey(9, bytes(20), b"b"),
    RouterKey(8, bytes(20), b"b"),
    RouterKey(1, b"\1" * 20, b"a"),
    RouterKey(1, b"\0" * 20, b"aa"),
]
ASPAS = [Aspa(64500, (1, 2)), Aspa(64496, (0,)), Aspa(2**32 - 1, (5,))]


def order_key(pdu):
    """8210bis §11.2, in one line for prefixes as the specification has it."""
    kind = pdu.encode()[1]
    if isinstance(pdu, PrefixPdu):
        sign = -1 if pdu.announce else 1
        row = (pdu.vrp.prefix.address, pdu.vrp.max_length, pdu.vrp.prefix.length, pdu.vrp.asn)
        return (kind, not pdu.announce, *(sign * number for number in row))
    if isinstance(pdu, RouterKeyPdu):
        key = pdu.key
        return (kind, not pdu.announce, key.ski, len(key.spki), key.spki, key.asn)
    return (kind, not pdu.announce, pdu.aspa.customer)


def expected(announced, withdrawn, version):
    found = []
    for announce, vrps, keys, aspas in ((True, *announced), (False, *withdrawn)):
        found += [PrefixPdu(version, announce, vrp) for vrp in vrps]
        found += [RouterKeyPdu(version, announce, key) for key in keys if version >= 1]
        empty = [aspa if announce else Aspa(aspa.customer, ()) for aspa in aspas]
        found += [AspaPdu(version, announce, aspa) for aspa in empty if version >= 2]
    return sorted(found, key=order_key)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c22_c23_c24_full_set(version):
    payload = wire.encode_snapshot(Snapshot.from_vrps(VRPS, ASPAS, KEYS), version)
    wanted = expected((VRPS, KEYS, ASPAS), ((), (), ()), version)
    assert pdus(payload.octets) == wanted
    assert bytes(payload.octets) == b"".join(pdu.encode() for pdu in wanted)
    assert payload.count == len(wanted)
    assert payload.octets.readonly


@pytest.mark.parametrize("version", [0, 1, 2])
def test_c23_delta(version):
    old = Snapshot.from_vrps(VRPS[::2], ASPAS[:1], KEYS[::2])
    new = Snapshot.from_vrps(VRPS[1::2], ASPAS[1:], KEYS[1::2])
    payload = wire.encode_delta(Delta.between(old, new), version)
    wanted = expected((VRPS[1::2], KEYS[1::2], ASPAS[1:]), (VRPS[::2], KEYS[::2], ASPAS[:1]), version)
    assert pdus(payload.octets) == wanted
    assert payload.count == len(wanted)


def test_withdrawals_are_announcements_backwards():
    everything = Snapshot.from_vrps(VRPS)
    there = pdus(wire.encode(everything, Snapshot.empty(), 2).octets)
    back = pdus(wire.encode(Snapshot.empty(), everything, 2).octets)
    for family in (4, 6):
        announced = [pdu.vrp for pdu in there if pdu.vrp.prefix.family == family]
        withdrawn = [pdu.vrp for pdu in back if pdu.vrp.prefix.family == family]
        assert announced == withdrawn[::-1]


def test_c20_c21_aspa_replaced_and_gone():
    old = Snapshot.from_vrps([], [Aspa(1, (5,)), Aspa(2, (5,))])
    new = Snapshot.from_vrps([], [Aspa(1, (6,))])
    payload = wire.encode_delta(Delta.between(old, new), 2)
    assert pdus(payload.octets) == [AspaPdu(2, True, Aspa(1, (6,))), AspaPdu(2, False, Aspa(2, ()))]
    assert len(payload.octets) == 16 + 12


def test_c02_an_aspa_too_long_for_a_pdu_is_left_out_and_withdrawn():
    long = Aspa(1, tuple(range(2, 16383)))
    longest = Aspa(1, tuple(range(2, 16382)))
    assert wire.encode_snapshot(Snapshot.from_vrps([], [long]), 2).count == 0
    assert len(wire.encode_snapshot(Snapshot.from_vrps([], [longest]), 2).octets) == 65532
    delta = Delta.between(Snapshot.from_vrps([], [longest]), Snapshot.from_vrps([], [long]))
    assert pdus(wire.encode_delta(delta, 2).octets) == [AspaPdu(2, False, Aspa(1, ()))]
    back = Delta.between(Snapshot.from_vrps([], [long]), Snapshot.from_vrps([], [longest]))
    assert pdus(wire.encode_delta(back, 2).octets) == [AspaPdu(2, True, longest)]


def test_decode_is_the_way_back():
    old, new = Snapshot.from_vrps(VRPS[::2]), Snapshot.from_vrps(VRPS[1::2])
    octets = wire.encode_delta(Delta.between(old, new), 2).octets
    cut = len(VRPS[:8]) * 20
    rows4, rows6 = wire.decode_prefixes(octets[:cut], 4), wire.decode_prefixes(octets[cut:], 6)
    for rows, data in ((rows4, octets[:cut]), (rows6, octets[cut:])):
        assert [
            PrefixPdu(2, bool(announce), vrp)
            for announce, vrp in zip(rows.announce, rows.columns.vrps(), strict=True)
        ] == pdus(data)


def test_decode_ignores_reserved_bits():
    octets = bytearray(wire.encode_snapshot(Snapshot.from_vrps(VRPS[:1]), 1).octets)
    octets[2:4], octets[8], octets[11] = b"\xff\xff", 0xFE, 0xFF
    assert wire.decode_prefixes(bytes(octets), 4).announce.tolist() == [False]


def verdict(decode):
    """What a decoder finds, or the code and PDU of its refusal."""
    try:
        return decode()
    except PduError as error:
        return error.code, error.pdu


@pytest.mark.parametrize("family", [4, 6])
def test_decode_agrees_with_the_struct_on_any_row(family):
    """Random lengths and sparse addresses: the two decoders accept and refuse the same PDUs."""
    rng = np.random.default_rng(family)
    bits, head = (32, b"\1\4\0\0\0\0\0\x14\1") if family == 4 else (128, b"\1\6\0\0\0\0\0\x20\1")
    verdicts = set()
    for _ in range(2000):
        length, max_length = (int(n) for n in rng.integers(0, bits + 3, 2))
        address = 1 << int(rng.integers(0, bits)) if rng.random() < 0.9 else 0
        octets = head + bytes([length, max_length, 0]) + address.to_bytes(bits // 8, "big") + b"\0\0\0\1"
        one = verdict(lambda octets=octets: [pdu.vrp for pdu in pdus(octets)])
        bulk = verdict(lambda octets=octets: list(wire.decode_prefixes(octets, family).columns.vrps()))
        assert one == bulk
        verdicts.add("good" if isinstance(one, list) else one[0])
    assert verdicts == {"good", ErrorCode.CORRUPT_DATA}


def test_decode_names_the_first_bad_pdu():
    good = wire.encode_snapshot(Snapshot.from_vrps([vrp("10.0.0.0/8", 8, 1)]), 1).octets.tobytes()
    bad = good[:9] + b"\x04" + good[10:]
    with pytest.raises(PduError) as caught:
        wire.decode_prefixes(good + bad + good, 4)
    assert caught.value.pdu == bad


def test_addresses_are_in_network_order():
    octets = wire.encode_snapshot(Snapshot.from_vrps([vrp("2001:db8:1:2::/64", 64, 1)]), 1).octets
    assert ipaddress.IPv6Address(bytes(octets[12:28])) == ipaddress.IPv6Address("2001:db8:1:2::")
