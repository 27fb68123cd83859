"""The codec as algebra: decode is the inverse of encode, however the stream is cut; noise is refused."""

from hypothesis import given
from hypothesis import strategies as st

from rov import Aspa, Prefix, RouterKey, Vrp
from rtr_server.protocol.decode import PduReader, decode
from rtr_server.protocol.errors import PduError
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

versions = st.integers(0, 2)
u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))


@st.composite
def vrps(draw):
    family, bits = draw(st.sampled_from([(4, 32), (6, 128)]))
    length = draw(st.integers(0, bits))
    address = draw(st.integers(0, 2**length - 1)) << (bits - length)
    return Vrp(Prefix(family, address, length), draw(st.integers(length, bits)), draw(u32))


providers = st.one_of(
    st.just((0,)), st.sets(st.integers(1, 2**32 - 1), min_size=1, max_size=20).map(sorted).map(tuple)
)
customers = st.integers(1, 2**32 - 1)
keys = st.builds(RouterKey, u32, st.binary(min_size=20, max_size=20), st.binary(min_size=1, max_size=200))
text = st.text(st.characters(categories=("L", "N", "P")), max_size=30)

pdus = st.one_of(
    st.builds(SerialNotify, versions, u16, u32),
    st.builds(SerialQuery, versions, u16, u32),
    st.builds(ResetQuery, versions),
    st.builds(CacheResponse, versions, u16),
    st.builds(PrefixPdu, versions, st.booleans(), vrps()),
    st.builds(EndOfData, st.just(0), u16, u32),
    st.builds(EndOfData, st.integers(1, 2), u16, u32, u32, u32, u32),
    st.builds(CacheReset, versions),
    st.builds(RouterKeyPdu, st.integers(1, 2), st.booleans(), keys),
    st.builds(AspaPdu, st.just(2), st.just(True), st.builds(Aspa, customers, providers)),
    st.builds(AspaPdu, st.just(2), st.just(False), st.builds(Aspa, customers, st.just(()))),
    st.builds(ErrorReport, versions, u16, st.binary(max_size=200), text),
)


def read_all(reader):
    found = []
    while (pdu := reader.next_pdu()) is not None:
        found.append(pdu)
    return found


@given(pdus)
def test_round_trip(pdu):
    octets = pdu.encode()
    assert decode(octets) == pdu
    assert int.from_bytes(octets[4:8], "big") == len(octets)


@given(st.lists(pdus, max_size=8), st.data())
def test_stream_cut_anywhere(sent, data):
    stream = b"".join(pdu.encode() for pdu in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader, found = PduReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.receive_data(stream[start:end])
        found += read_all(reader)
    assert found == sent
    assert len(reader) == 0


@given(pdus, st.data())
def test_one_octet_changed_is_another_pdu_or_an_error(pdu, data):
    octets = bytearray(pdu.encode())
    octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(u8)
    try:
        found = decode(bytes(octets))
    except PduError:
        return
    assert decode(found.encode()) == found


@given(st.binary(max_size=100))
def test_noise_is_an_error_or_a_pdu(octets):
    reader = PduReader()
    reader.receive_data(octets)
    try:
        read_all(reader)
    except PduError:
        return
    assert len(reader) <= len(octets)
