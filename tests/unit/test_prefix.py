"""The prefix parser and writer against the standard library's ipaddress, which knows the same rules."""

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rov._prefix import format_ipv4, format_ipv6, format_prefix, parse
from rov.errors import PrefixError
from rov.types import Prefix

GOOD = ["0.0.0.0/0", "255.255.255.255/32", "10.0.0.0/8", "::/0", "::1/128", "2001:db8::/32",
        "2001:0DB8:0:0:0:0:0:0/32", "1:2:3:4:5:6:7:8/128", "::ffff:192.0.2.1/128", "1::8/128",
        "1:2:3:4:5:6:1.2.3.4/128", "::2:3:4:5:6:7:8/128", "1:2:3:4:5:6:7::/112"]  # fmt: skip

BAD = ["", "/", "/8", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0/8",
       "010.0.0.0/8", "10.0.0.256/32", "10.0.0.0.0/8", " 10.0.0.0/8", "10.0.0.0/8 ", "10.0.0.0/8/8",
       "10.0.0.1/8", "::1/127", "2001:db8::/129", ":::/0", "1::2::3/128", "1:2:3:4:5:6:7/128",
       "1:2:3:4:5:6:7:8:9/128", "12345::/16", "g::/16", "::1.2.3/128", "1:2:3:4:5:6:7:1.2.3.4/128",
       "fe80::1%eth0/128", ":1::/16", "1:/16", "::1:2:3:4:5:6:7:8/128", "10.0.0.0/1٣", "10.0.0.0/\x00",
       "١٠.0.0.0/8", "1" * 100]  # fmt: skip


def expected(text: str) -> tuple[int, int, int]:
    network = ipaddress.ip_network(text)
    return network.version, int(network.network_address), network.prefixlen


@pytest.mark.parametrize("text", GOOD)
def test_good(text: str) -> None:
    assert parse(text) == expected(text)


@pytest.mark.parametrize("text", BAD)
def test_bad(text: str) -> None:
    with pytest.raises(PrefixError):
        parse(text)


@pytest.mark.parametrize("text", [None, b"10.0.0.0/8", 8])
def test_not_text(text: object) -> None:
    with pytest.raises(TypeError):
        parse(text)  # type: ignore[arg-type]


@given(st.text(alphabet="0123456789abcdefABCDEF:./ %x", max_size=50))
def test_same_language_as_ipaddress(text: str) -> None:
    try:
        found = parse(text)
    except PrefixError:
        found = None
    try:
        wanted = expected(text) if text.count("/") == 1 else None
        length = text.split("/")[1] if wanted else ""
        # stricter than ipaddress: lengths without leading zeros and no netmask in their place
        if wanted and str(int(length)) != length:
            wanted = None
    except ValueError:
        wanted = None
    assert found == wanted


@given(st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_ipv4_round_trip(address: int, length: int) -> None:
    address &= ~((1 << (32 - length)) - 1) & 0xFFFFFFFF
    text = str(ipaddress.IPv4Network((address, length)))
    assert format_prefix(4, address, length) == text
    assert format_ipv4(np.array([address], "u4"), np.array([length], "u1")) == [text]
    assert parse(text) == (4, address, length)


# bytes that are often zero give "::" its chances
GROUPS = st.lists(st.sampled_from([0, 0, 0, 1, 0xFFFF, 0xDB8, 0x2001]), min_size=8, max_size=8)


@given(GROUPS, st.integers(0, 128))
def test_ipv6_round_trip(groups: list[int], length: int) -> None:
    address = int("".join(f"{group:04x}" for group in groups), 16)
    address &= ~((1 << (128 - length)) - 1) & (2**128 - 1)
    high, low = address >> 64, address & (2**64 - 1)
    text = format_prefix(6, address, length)
    assert format_ipv6(np.array([[high, low]], "u8"), np.array([length], "u1")) == [text]
    assert parse(text) == (6, address, length)
    if address >> 32 != 0xFFFF:
        assert text == str(ipaddress.IPv6Network((address, length)))


def test_mapped_addresses_are_written_with_dots() -> None:
    assert str(Prefix.parse("::ffff:c000:201/128")) == "::ffff:192.0.2.1/128"


REFUSED = [(5, 0, 0), (4, 1, 31), (4, 1 << 32, 32), (4, 0, 33), (6, -1, 128), (6, 1, 127), (6, 0, 129)]


@pytest.mark.parametrize(("family", "address", "length"), REFUSED)
def test_prefix_refuses(family: int, address: int, length: int) -> None:
    with pytest.raises(PrefixError):
        Prefix(family, address, length)  # type: ignore[arg-type]
