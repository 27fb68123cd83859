"""Members of an internet exchange, from its IX-F member export (JSON, 0.3 to 1.0), plain or packed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import msgspec

from rov._checks import as_path
from rov.errors import PrefixError, ReferenceFileError
from rov.reference.lines import read_octets
from rov.types import IPV4_BITS, IPV6_BITS, MAX_ASN, Prefix

MAX_MEMBERS = 2**16
"""Of one export: thirty times those of the largest exchange."""


class Member(msgspec.Struct, frozen=True):
    """A network at the exchange: ``addresses`` are those of its routers there, as text of RFC 5952.

    >>> Member(64496, "Example", ("192.0.2.1",)).contacts
    ()
    """

    asn: int
    name: str
    addresses: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()


class Exchange(msgspec.Struct, frozen=True):
    """An export: its members by AS number, one row each, and the prefixes of its peering LANs.

    >>> Exchange((Member(64496, "Example"),), ()).names()
    {64496: 'Example'}
    """

    members: tuple[Member, ...]
    lans: tuple[Prefix, ...]

    def names(self) -> dict[int, str]:
        """The name of each member by its AS number."""
        return {member.asn: member.name for member in self.members}

    def asns(self) -> dict[str, int]:
        """The AS number of each address."""
        return {address: member.asn for member in self.members for address in member.addresses}


class _Address(msgspec.Struct):
    address: str | None = None


class _MemberVlan(msgspec.Struct):
    ipv4: _Address | None = None
    ipv6: _Address | None = None


class _Connection(msgspec.Struct):
    vlan_list: list[_MemberVlan] | None = None


class _Member(msgspec.Struct):
    asnum: int
    name: str | None = None
    contact_email: list[str] | None = None
    connection_list: list[_Connection] | None = None


class _Lan(msgspec.Struct):
    prefix: str | None = None
    mask_length: int | None = None


class _Vlan(msgspec.Struct):
    ipv4: _Lan | None = None
    ipv6: _Lan | None = None


class _Ixp(msgspec.Struct):
    vlan: list[_Vlan] | None = None


class _Export(msgspec.Struct):
    member_list: list[_Member]
    ixp_list: list[_Ixp] = []


def read_members(path: str | os.PathLike[str]) -> Exchange:
    """The members and peering LANs of an export; several rows of one AS are joined.

    Addresses that are none are left out: exports have "dynamic" and the like in their place.
    ReferenceFileError: it cannot be read, is none, has no member, or a LAN that is no prefix.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print('{"member_list": [{"asnum": 64496, "name": "Example"}]}', file=file, flush=True)
    ...     read_members(file.name).names()
    {64496: 'Example'}
    """
    name = as_path(path)
    try:
        export = msgspec.json.decode(read_octets(name), type=_Export)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ReferenceFileError(name, f"expected an IX-F member export: {error}") from error
    if not 0 < len(export.member_list) <= MAX_MEMBERS:
        raise ReferenceFileError(
            name, f"expected 1 to {MAX_MEMBERS:,} in member_list, found {len(export.member_list):,}"
        )
    found: dict[int, Member] = {}
    for row in export.member_list:
        if not 0 < row.asnum <= MAX_ASN:
            raise ReferenceFileError(name, f"member {row.name!r}: asnum {row.asnum}: expected 1 to {MAX_ASN}")
        known = found.get(row.asnum, Member(row.asnum, row.name or ""))
        found[row.asnum] = Member(
            row.asnum,
            known.name or row.name or "",
            _distinct(known.addresses, _addresses(row)),
            _distinct(known.contacts, row.contact_email or ()),
        )
    lans = [lan for ixp in export.ixp_list for lan in _lans(name, ixp)]
    return Exchange(tuple(found[asn] for asn in sorted(found)), tuple(dict.fromkeys(lans)))


def _distinct(*parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for part in parts for text in part))


def _addresses(row: _Member) -> list[str]:
    found = []
    for connection in row.connection_list or ():
        for vlan in connection.vlan_list or ():
            for given, bits in ((vlan.ipv4, IPV4_BITS), (vlan.ipv6, IPV6_BITS)):
                try:
                    host = Prefix.parse(f"{given.address if given else None}/{bits}")
                except PrefixError:
                    continue
                found.append(str(host).partition("/")[0])
    return found


def _lans(name: str, ixp: _Ixp) -> list[Prefix]:
    found = []
    given: list[Any] = [lan for vlan in ixp.vlan or () for lan in (vlan.ipv4, vlan.ipv6)]
    for lan in given:
        if lan is not None and lan.prefix and lan.mask_length is not None:
            try:
                found.append(Prefix.parse(f"{lan.prefix.partition('/')[0]}/{lan.mask_length}"))
            except PrefixError as error:
                raise ReferenceFileError(name, f"peering LAN: {error}") from error
    return found
