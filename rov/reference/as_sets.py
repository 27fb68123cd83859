"""AS-SETs of IRR dumps (RFC 2622 §5.1), and what they expand to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from rov._checks import as_kind, as_paths, as_rows, shown
from rov._rows import asn_of
from rov.errors import ArgumentError, ReferenceFileError
from rov.reference.rpsl import Attributes, read_objects
from rov.types import as_asn

MAX_EXPANDED = 2**17
"""AS numbers of one expansion: more than are in use. A set of that many says nothing of a customer."""

MAX_SETS = 2**16
"""AS-SETs that one expansion may visit: the largest cones have some ten thousand."""

NAME = re.compile(r"(?:[A-Z0-9-]+::)?(?:AS\d+:|AS-[A-Z0-9_-]+:)*AS-[A-Z0-9_-]+(?::AS\d+|:AS-[A-Z0-9_-]+)*")
"""A name, with the source before it if there is one, in upper case: RIPE::AS64496:AS-CUSTOMERS."""

KEPT = {
    "as-set": frozenset({"members", "mbrs-by-ref", "mnt-by", "source"}),
    "aut-num": frozenset({"member-of", "mnt-by", "source"}),
}
"""The classes and attributes that an expansion rests on."""


class Expansion(NamedTuple):
    """The AS numbers of some sets, which sets were not found, and names that several sources have."""

    asns: frozenset[int]
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]


class _Set(NamedTuple):
    source: str
    members: tuple[str, ...]
    by_reference: frozenset[str]
    """Maintainers whose aut-nums may say of themselves that they are members; ANY: every maintainer."""


class AsSets:
    """The AS-SETs of dumps by name; of one name in several sources, the one that was read first counts.

    >>> AsSets([("as-set", 1, {"as-set": ["AS-X"], "members": ["AS64496, AS-Y"]})]).expand(["AS-X"])
    Expansion(asns=frozenset({64496}), missing=('AS-Y',), ambiguous=())
    """

    def __init__(self, objects: Iterable[tuple[str, int, Attributes]]) -> None:
        self._sets: dict[str, list[_Set]] = {}
        self._members_of: dict[str, list[tuple[int, frozenset[str], str]]] = {}
        for kind, _, attributes in objects:
            (self._take_set if kind == "as-set" else self._take_autnum)(attributes)

    def _take_set(self, attributes: Attributes) -> None:
        name = attributes["as-set"][0].upper()
        members = _words(attributes.get("members", ()))
        found = _Set(_source(attributes), members, frozenset(_words(attributes.get("mbrs-by-ref", ()))))
        known = self._sets.setdefault(name, [])
        if all(other.source != found.source for other in known):
            known.append(found)

    def _take_autnum(self, attributes: Attributes) -> None:
        asn = asn_of(attributes["aut-num"][0])
        if asn is None:
            return
        maintainers = frozenset(_words(attributes.get("mnt-by", ())))
        for name in _words(attributes.get("member-of", ())):
            self._members_of.setdefault(name, []).append((asn, maintainers, _source(attributes)))

    def __len__(self) -> int:
        return len(self._sets)

    def expand(self, names: Iterable[str]) -> Expansion:
        """The AS numbers of these sets and of those in them, however deep; loops do no harm.

        A name may have its source before it, RIPE::AS-EXAMPLE. AS-ANY stands for nothing. ArgumentError: a
        name is none, or the expansion has more than MAX_EXPANDED numbers, MAX_SETS sets.

        >>> AsSets([]).expand(["AS-EXAMPLE"]).missing
        ('AS-EXAMPLE',)
        """
        asns: set[int] = set()
        missing: dict[str, None] = {}
        ambiguous: dict[str, None] = {}
        waiting = [as_set_name(name) for name in as_rows(names, str, "AS-SETs")]
        seen = set(waiting)
        while waiting:
            name = waiting.pop()
            found, several = self._find(name)
            if several:
                ambiguous[name] = None
            if found is None:
                missing[name] = None
                continue
            for member in (*found.members, *self._referring(name, found)):
                asn = asn_of(member)
                if asn is not None:
                    asns.add(asn)
                elif member not in seen and member != "AS-ANY" and NAME.fullmatch(member):
                    seen.add(member)
                    waiting.append(member)
            if len(asns) > MAX_EXPANDED or len(seen) > MAX_SETS:
                raise ArgumentError(
                    f"{name}: expands to more than {MAX_EXPANDED:,} ASes or {MAX_SETS:,} sets: "
                    "it is no filter for a customer"
                )
        return Expansion(frozenset(asns), tuple(missing), tuple(ambiguous))

    def _find(self, name: str) -> tuple[_Set | None, bool]:
        """The set of a name, and whether several sources have one and none was asked for."""
        source, marked, bare = name.rpartition("::")
        known = self._sets.get(bare, [])
        if marked:
            return next((found for found in known if found.source == source), None), False
        return (known[0] if known else None), len(known) > 1

    def _referring(self, name: str, found: _Set) -> Iterable[str]:
        """The ASes that say of themselves that they are members, under a maintainer that the set trusts."""
        bare = name.rpartition("::")[2]
        for asn, maintainers, source in self._members_of.get(bare, ()):
            trusted = "ANY" in found.by_reference or found.by_reference & maintainers
            if trusted and source == found.source:
                yield f"AS{asn}"


def as_set_name(text: str) -> str:
    """The name of an AS-SET in upper case; ArgumentError if it is none.

    >>> as_set_name("ripe::as64496:as-customers")
    'RIPE::AS64496:AS-CUSTOMERS'
    """
    name = as_kind(text, str, "AS-SET").strip().upper()
    if not NAME.fullmatch(name):
        raise ArgumentError(f"AS-SET {shown(text)}: expected a name such as AS-EXAMPLE or RIPE::AS-EXAMPLE")
    return name


def read_as_sets(paths: Iterable[str | os.PathLike[str]]) -> AsSets:
    """The AS-SETs of dumps; of one name in several, that of the file named first counts.

    A dump without any is fine as long as one has some: registries give a file for each class.
    ReferenceFileError: a file cannot be read, or no file has an as-set. ArgumentError: no names.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print("as-set: AS-X\\nmembers: AS64496", file=file, flush=True)
    ...     len(read_as_sets([file.name]))
    1
    """
    names = as_paths(paths)
    kept = {**KEPT, "route": frozenset[str](), "route6": frozenset[str]()}
    sets = AsSets(
        found for name in names for found in read_objects(name, kept) if not found[0].startswith("route")
    )
    if not len(sets):
        raise ReferenceFileError(", ".join(names), "expected as-set objects, found none")
    return sets


class Customer(NamedTuple):
    """A neighbour whose routes are to be filtered: its AS, the AS-SETs of its own customers, its addresses.

    >>> Customer.parse("AS64496 RIPE::AS-EXAMPLE 192.0.2.7")
    Customer(asn=64496, sets=('RIPE::AS-EXAMPLE',), addresses=('192.0.2.7',))
    """

    asn: int
    sets: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What lists and filters of it are called.

        >>> Customer(64496).name
        'AS64496'
        """
        return f"AS{self.asn}"

    @classmethod
    def parse(cls, text: str) -> Customer:
        """From ``AS [AS-SET...] [ADDRESS...]``, in any order after the AS; ArgumentError if it is none.

        >>> Customer.parse("64496").name
        'AS64496'
        """
        from ipaddress import ip_address

        first, *rest = as_kind(text, str, "customer").replace(",", " ").split() or [""]
        asn = asn_of(first)
        if not asn:
            raise ArgumentError(f"customer {shown(text)}: expected AS [AS-SET...] [ADDRESS...]")
        sets: list[str] = []
        addresses: list[str] = []
        for word in rest:
            try:
                addresses.append(str(ip_address(word)))
            except ValueError:
                sets.append(as_set_name(word))
        return cls(as_asn(asn), tuple(sets), tuple(addresses))


def _words(values: Iterable[str]) -> tuple[str, ...]:
    """The names in comma-separated lists, in upper case."""
    return tuple(word for value in values for word in value.upper().replace(",", " ").split())


def _source(attributes: Attributes) -> str:
    words = _words(attributes.get("source", ()))
    return words[0] if words else ""
