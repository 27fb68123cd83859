"""Rows of JSON files beside the VRPs: ASPAs, router keys, and where Routinator says a row comes from."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence

import msgspec

from rov._elements import SKI_OCTETS
from rov._rows import asn_of
from rov.columns import NO_EXPIRY
from rov.formats.report import Intake
from rov.formats.times import parse_time
from rov.types import MAX_ASN, Aspa, RouterKey

MAX_PROVIDERS = 10_000
"""Of one customer, the upper of the caps suggested to validators; the largest seen has 226 (2026)."""

MAX_SPKI_OCTETS = 4096
"""Of a router key: ECDSA P-256, the only algorithm of RFC 8608, takes 91."""

MAX_TIME = 253_402_300_799
"""The last second of the year 9999, which is the last that a certificate can state (RFC 5280 §4.1.2.5)."""

Report = Callable[[int, str], None]


class _Period(msgspec.Struct):
    notAfter: str | None = None  # noqa: N815


class Source(msgspec.Struct):
    """One of the objects that Routinator's jsonext names as the origin of a row."""

    tal: str | None = None
    validity: _Period | None = None
    chainValidity: _Period | None = None  # noqa: N815


class AspaRow(msgspec.Struct):
    """rpki-client says customer_asid, Routinator customer."""

    customer_asid: int | str | None = None
    customer: int | str | None = None
    providers: list[int | str] | None = None
    expires: int | None = None
    source: list[Source] | None = None


class KeyRow(msgspec.Struct):
    """rpki-client says ski and pubkey, Routinator SKI and routerPublicKey."""

    asn: int | str | None = None
    ski: str | None = None
    SKI: str | None = None
    pubkey: str | None = None
    routerPublicKey: str | None = None  # noqa: N815
    expires: int | None = None
    source: list[Source] | None = None


def provenance(source: Sequence[Source]) -> tuple[str | None, int | None]:
    """Trust anchor and expiry of a row that stands as long as the longest-lived of its sources.

    One source lasts until the earlier of its own and its chain's notAfter; a local exception states no
    end, so neither does its row. An unreadable time counts as absent, as it is beside the payload.

    >>> provenance([Source("ripe", _Period("2025-07-20T09:31:33Z"))])
    ('ripe', 1753003893)
    """
    ta = next((item.tal for item in source if item.tal is not None), None)
    ends = [_end(item) for item in source]
    return ta, None if None in ends or not ends else max(end for end in ends if end is not None)


def _end(source: Source) -> int | None:
    texts = [period.notAfter for period in (source.validity, source.chainValidity) if period is not None]
    return min((time for text in texts if text and (time := _time(text)) is not None), default=None)


def _time(text: str) -> int | None:
    try:
        return parse_time(text)
    except (ValueError, OverflowError):
        return None


def _expiry(row: AspaRow | KeyRow) -> int:
    """Unix seconds or NO_EXPIRY; ValueError if it is no time."""
    expires = row.expires if row.source is None else provenance(row.source)[1]
    if expires is None:
        return NO_EXPIRY
    if not 0 <= expires <= MAX_TIME:
        raise ValueError(f"expires {expires}: expected a time in unix seconds")
    return expires


def take_aspas(rows: Sequence[AspaRow], intake: Intake, report: Report) -> None:
    """Check ASPAs by their profile and put them into intake; report what is wrong.

    Order and repetition of providers do not matter in JSON. A customer of more than MAX_PROVIDERS
    loses all its rows: half a list of providers would call good routes invalid.
    """
    taken: list[tuple[int, Aspa, int]] = []
    union: dict[int, set[int]] = {}
    for number, row in enumerate(rows, 1):
        try:
            aspa = _aspa(row)
            expires = _expiry(row)
        except ValueError as error:
            report(number, str(error))
        else:
            taken.append((number, aspa, expires))
            union.setdefault(aspa.customer, set()).update(aspa.providers)
    for number, aspa, expires in taken:
        if (count := len(union[aspa.customer])) > MAX_PROVIDERS:
            report(number, f"customer AS{aspa.customer}: {count} providers, expected {MAX_PROVIDERS} at most")
        else:
            intake.aspas.append(aspa)
            intake.aspa_expires.append(expires)


def _aspa(row: AspaRow) -> Aspa:
    stated = row.customer_asid if row.customer_asid is not None else row.customer
    customer = asn_of(stated)
    if not customer:
        raise ValueError(f"customer {_shown(stated)}: expected 1 to {MAX_ASN}, with or without AS before it")
    if not row.providers:
        raise ValueError(f"customer AS{customer}: expected at least one provider (0 stands for none)")
    providers = set()
    for item in row.providers:
        provider = asn_of(item)
        if provider is None:
            raise ValueError(f"customer AS{customer}: provider {_shown(item)}: expected an AS number")
        providers.add(provider)
    if customer in providers:
        raise ValueError(f"customer AS{customer}: is listed as its own provider")
    return Aspa(customer, tuple(sorted(providers)))


def take_router_keys(rows: Sequence[KeyRow], intake: Intake, report: Report) -> None:
    """Check router keys and put them into intake; report what is wrong."""
    for number, row in enumerate(rows, 1):
        try:
            key = _router_key(row)
            expires = _expiry(row)
        except ValueError as error:
            report(number, str(error))
        else:
            intake.router_keys.append(key)
            intake.router_key_expires.append(expires)


def _router_key(row: KeyRow) -> RouterKey:
    asn = asn_of(row.asn)
    if asn is None:
        raise ValueError(f"asn {_shown(row.asn)}: expected 0 to {MAX_ASN}, with or without AS before it")
    text = row.ski if row.ski is not None else row.SKI
    try:
        ski = bytes.fromhex(text or "")
    except ValueError:
        ski = b""
    if len(ski) != SKI_OCTETS:
        raise ValueError(f"router key of AS{asn}: expected an SKI of {2 * SKI_OCTETS} hex digits")
    return RouterKey(asn, ski, _spki(row.pubkey or row.routerPublicKey or "", asn))


def _spki(text: str, asn: int) -> bytes:
    """Base64 in either alphabet, padded or not: SLURM's form (RFC 8416 §3.4.2) is seen beside the usual."""
    plain = text.translate({ord("-"): "+", ord("_"): "/"}).rstrip("=")
    try:
        spki = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        spki = b""
    if not 0 < len(spki) <= MAX_SPKI_OCTETS:
        raise ValueError(
            f"router key of AS{asn}: expected a public key in base64, of 1 to {MAX_SPKI_OCTETS} octets"
        )
    return spki


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
