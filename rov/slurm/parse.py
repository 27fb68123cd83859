"""One SLURM file, read as strictly as RFC 8416 §3 asks: any deviation is an error, and all are named."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Collection, Iterator
from itertools import pairwise
from typing import Any, NoReturn

from rov._elements import SKI_OCTETS
from rov.errors import PrefixError
from rov.formats.payload import MAX_PROVIDERS, MAX_SPKI_OCTETS
from rov.slurm.entries import AspaFilter, Assertion, Filter, PrefixFilter, RouterKeyFilter
from rov.types import MAX_ASN, Aspa, Prefix, RouterKey, Vrp

MAX_FAULTS = 100
"""Faults that are described; a file of nothing else is no reason to hold a million texts."""

SHOWN = 60
"""Octets of a bad value that an error shows."""

FILTERS, ASSERTIONS = "validationOutputFilters", "locallyAddedAssertions"

VERSIONS = (1, 2)
"""RFC 8416; draft-ietf-sidrops-aspa-slurm."""

_BOM = b"\xef\xbb\xbf"

Object = dict[str, Any]


class _Repeated(dict[str, Any]):
    """A JSON object in which a name stands twice: which value is meant, nobody can say."""


def _object(pairs: list[tuple[str, Any]]) -> Object:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _Repeated(members)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


class Reading:
    """One file on its way: the entries found so far, and every fault with its path."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.filters: list[Filter] = []
        self.assertions: list[Assertion] = []
        self.faults: list[tuple[str, str, str]] = []
        self.fault_count = 0
        self.warnings: list[str] = []

    def bad(self, path: str, what: str) -> None:
        """Note a fault."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append((self.file, path, what))

    def warn(self, path: str, what: str) -> None:
        """Note what is taken, though it deviates."""
        if len(self.warnings) < MAX_FAULTS:
            self.warnings.append(f"{self.file}: {path}: {what}")

    def members(
        self, value: Any, path: str, required: Collection[str], optional: Collection[str]
    ) -> Object | None:
        """The members of an object, each of which must be known; None where something is wrong."""
        if not isinstance(value, dict):
            self.bad(path, f"expected an object, found {_shown(value)}")
            return None
        before = self.fault_count
        if isinstance(value, _Repeated):
            self.bad(path, "a member name stands twice")
        for name in sorted(value.keys() - {*required, *optional}):
            self.bad(path, f"unknown member {_shown(name)}")
        for name in sorted(set(required) - value.keys()):
            self.bad(path, f"member {name!r} is missing")
        if "comment" in value and not _is_text(value["comment"]):
            self.bad(f"{path}.comment", f"expected a string, found {_shown(value['comment'])}")
        return value if self.fault_count == before else None

    def items(self, parent: Object, path: str, name: str) -> Iterator[tuple[str, Any]]:
        """The entries of an array, each with its path."""
        value = parent[name]
        if not isinstance(value, list):
            self.bad(f"{path}.{name}", f"expected an array, found {_shown(value)}")
            return
        for place, item in enumerate(value):
            yield f"{path}.{name}[{place}]", item

    def integer(self, value: Any, path: str, low: int, high: int) -> int | None:
        """A JSON number without a fraction; None where it is none."""
        if type(value) is int and low <= value <= high:
            return value
        self.bad(path, f"expected a number from {low} to {high}, found {_shown(value)}")
        return None

    def prefix(self, value: Any, path: str) -> Prefix | None:
        """A prefix without host bits; None where it is none."""
        if not isinstance(value, str):
            self.bad(path, f"expected a string, found {_shown(value)}")
            return None
        try:
            return Prefix.parse(value)
        except (PrefixError, UnicodeError) as error:
            self.bad(path, str(error))
            return None

    def octets(self, value: Any, path: str, low: int, high: int) -> bytes | None:
        """Base64 of either alphabet, without the padding that RFC 8416 leaves out."""
        text = value.replace("-", "+").replace("_", "/") if isinstance(value, str) else "="
        try:
            decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (ValueError, binascii.Error):
            decoded = b""
        canonical = base64.b64encode(decoded).rstrip(b"=").decode() == text
        if canonical and low <= len(decoded) <= high:
            return decoded
        size = f"{low}" if low == high else f"{low} to {high}"
        self.bad(path, f"expected {size} octets in base64url without padding, found {_shown(value)}")
        return None


def _is_text(value: Any) -> bool:
    """Whether a value is a string that can be written again: JSON can name half a character."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def parse(data: bytes, file: str) -> Reading:
    """Read one file; its faults stand in the result."""
    reading = Reading(file)
    try:
        value = json.loads(
            data.removeprefix(_BOM).decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        reading.bad("$", f"no sound JSON: {error}")
        return reading
    root = reading.members(value, "$", {"slurmVersion", FILTERS, ASSERTIONS}, ())
    if root is not None:
        _root(reading, root)
    return reading


_SECTIONS: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    1: (("prefixFilters", "bgpsecFilters"), ("prefixAssertions", "bgpsecAssertions")),
    2: (
        ("prefixFilters", "bgpsecFilters", "aspaFilters"),
        ("prefixAssertions", "bgpsecAssertions", "aspaAssertions"),
    ),
}
"""The arrays that each version has, all of which are required."""


def _root(reading: Reading, root: Object) -> None:
    version = root["slurmVersion"]
    if type(version) is not int or version not in VERSIONS:
        reading.bad("$.slurmVersion", f"expected 1 or 2, found {_shown(version)}")
        return
    for section, names in zip((FILTERS, ASSERTIONS), _SECTIONS[version], strict=True):
        path = f"$.{section}"
        parent = reading.members(root[section], path, names, ())
        if parent is None:
            continue
        for name in names:
            for place, item in reading.items(parent, path, name):
                _READERS[name](reading, item, place)


def _asn(reading: Reading, entry: Object, path: str, name: str = "asn", low: int = 0) -> int | None:
    return reading.integer(entry[name], f"{path}.{name}", low, MAX_ASN) if name in entry else None


def _some_of(reading: Reading, item: Any, path: str, names: set[str]) -> Object | None:
    """An object with one or more of the names."""
    entry = reading.members(item, path, (), names | {"comment"})
    if entry is not None and not names & entry.keys():
        reading.bad(path, f"expected {' or '.join(sorted(names))}, or both")
        return None
    return entry


def _prefix_filter(reading: Reading, item: Any, path: str) -> None:
    entry = _some_of(reading, item, path, {"prefix", "asn"})
    if entry is not None:
        before = reading.fault_count
        prefix = reading.prefix(entry["prefix"], f"{path}.prefix") if "prefix" in entry else None
        asn = _asn(reading, entry, path)
        if reading.fault_count == before:
            reading.filters.append(PrefixFilter(reading.file, path, prefix, asn, entry.get("comment")))


def _bgpsec_filter(reading: Reading, item: Any, path: str) -> None:
    entry = _some_of(reading, item, path, {"asn", "SKI"})
    if entry is not None:
        before = reading.fault_count
        asn = _asn(reading, entry, path)
        ski = _ski(reading, entry, path) if "SKI" in entry else None
        if reading.fault_count == before:
            reading.filters.append(RouterKeyFilter(reading.file, path, asn, ski, entry.get("comment")))


def _ski(reading: Reading, entry: Object, path: str) -> bytes | None:
    return reading.octets(entry["SKI"], f"{path}.SKI", SKI_OCTETS, SKI_OCTETS)


def _aspa_filter(reading: Reading, item: Any, path: str) -> None:
    if isinstance(item, dict) and "customerAsid" in item and "customerAsn" not in item:
        reading.warn(path, "'customerAsid' is taken for 'customerAsn'")
        item = type(item)((("customerAsn" if k == "customerAsid" else k), v) for k, v in item.items())
    entry = reading.members(item, path, {"customerAsn"}, {"comment"})
    if entry is not None:
        customer = _asn(reading, entry, path, "customerAsn", 1)
        if customer is not None:
            reading.filters.append(AspaFilter(reading.file, path, customer, entry.get("comment")))


def _prefix_assertion(reading: Reading, item: Any, path: str) -> None:
    entry = reading.members(item, path, {"prefix", "asn"}, {"maxPrefixLength", "comment"})
    if entry is None:
        return
    prefix = reading.prefix(entry["prefix"], f"{path}.prefix")
    asn = _asn(reading, entry, path)
    if prefix is None or asn is None:
        return
    longest: int | None = prefix.length
    if "maxPrefixLength" in entry:
        place = f"{path}.maxPrefixLength"
        longest = reading.integer(entry["maxPrefixLength"], place, prefix.length, prefix.bits)
    if longest is not None:
        vrp = Vrp(prefix, longest, asn)
        reading.assertions.append(Assertion(reading.file, path, vrp, entry.get("comment")))


def _bgpsec_assertion(reading: Reading, item: Any, path: str) -> None:
    entry = reading.members(item, path, {"asn", "SKI", "routerPublicKey"}, {"comment"})
    if entry is None:
        return
    asn, ski = _asn(reading, entry, path), _ski(reading, entry, path)
    spki = reading.octets(entry["routerPublicKey"], f"{path}.routerPublicKey", 1, MAX_SPKI_OCTETS)
    if asn is not None and ski is not None and spki is not None:
        key = RouterKey(asn, ski, spki)
        reading.assertions.append(Assertion(reading.file, path, key, entry.get("comment")))


def _aspa_assertion(reading: Reading, item: Any, path: str) -> None:
    entry = reading.members(item, path, {"customerAsn", "providerAsns"}, {"comment"})
    if entry is None:
        return
    before = reading.fault_count
    customer = _asn(reading, entry, path, "customerAsn", 1)
    providers = [
        reading.integer(value, place, 0, MAX_ASN)
        for place, value in reading.items(entry, path, "providerAsns")
    ]
    if reading.fault_count > before or customer is None:
        return
    asns = [asn for asn in providers if asn is not None]
    if not 0 < len(asns) <= MAX_PROVIDERS:
        reading.bad(f"{path}.providerAsns", f"expected 1 to {MAX_PROVIDERS} ASNs, found {len(asns)}")
    elif any(a >= b for a, b in pairwise(asns)):
        reading.bad(f"{path}.providerAsns", "expected ASNs ascending, each once")
    elif customer in asns:
        reading.bad(f"{path}.providerAsns", f"the customer, AS{customer}, is among its own providers")
    else:
        aspa = Aspa(customer, tuple(asns))
        reading.assertions.append(Assertion(reading.file, path, aspa, entry.get("comment")))


_READERS: dict[str, Callable[[Reading, Any, str], None]] = {
    "prefixFilters": _prefix_filter,
    "bgpsecFilters": _bgpsec_filter,
    "aspaFilters": _aspa_filter,
    "prefixAssertions": _prefix_assertion,
    "bgpsecAssertions": _bgpsec_assertion,
    "aspaAssertions": _aspa_assertion,
}
