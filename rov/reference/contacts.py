"""Whom to write to about an AS: contacts in RPSL dumps and in a dump of PeeringDB.

PeeringDB: the JSON of its API, ``{"data": [...]}`` of net with poc_set, or of a whole dump,
``{"net": {"data": [...]}, "poc": {"data": [...]}}``; plain or packed. Abuse contacts do not count.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from rov._checks import as_path, as_paths
from rov._rows import asn_of
from rov.errors import ReferenceFileError
from rov.reference.lines import read_octets
from rov.reference.rpsl import Attributes, AutNum, read_objects
from rov.types import as_asn

MAX_NETWORKS = 2**20
"""Of one dump of PeeringDB, which has some thirty thousand."""

_WHO = frozenset({"nic-hdl", "e-mail", "last-modified", "changed", "source"})

KEPT = {
    "aut-num": frozenset({
        "as-name", "org", "admin-c", "tech-c", "import", "export", "mp-import", "mp-export", "last-modified",
        "changed", "source", "notify",
    }),
    "role": _WHO,
    "person": _WHO,
    "organisation": frozenset({"e-mail", "last-modified", "changed", "source"}),
}  # fmt: skip
"""The classes and attributes that tell whom to write to."""

_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
"""What can stand in a To: line as it is."""


class Contact(NamedTuple):
    """An address, whose it is (NOC, technical), where it stands, and when that was changed (None: unknown).

    >>> Contact("noc@example.net", "NOC", "peeringdb", None).role
    'NOC'
    """

    email: str
    role: str
    source: str
    changed: datetime.date | None


class Network(NamedTuple):
    """What is known of an AS: name, contacts, the best first; policy and contact as MANRS asks for them.

    ``states_policy``: M6, None without an aut-num. ``named``: M8, whether anybody is named, even where the
    dump has left out how to reach them.
    """

    name: str = ""
    contacts: tuple[Contact, ...] = ()
    states_policy: bool | None = None
    named: bool = False


_RANK = {"noc": 0, "technical": 1, "tech-c": 1, "maintenance": 2, "policy": 2, "admin-c": 3, "org": 4}


class Contacts:
    """Contacts by AS number.

    >>> Contacts().of(64496)
    Network(name='', contacts=(), states_policy=None, named=False)
    """

    def __init__(self) -> None:
        self._autnums: dict[int, tuple[AutNum, Attributes]] = {}
        self._people: dict[str, Attributes] = {}
        self._peering: dict[int, tuple[str, tuple[Contact, ...], bool]] = {}

    def take(self, objects: Iterable[tuple[str, int, Attributes]]) -> None:
        """Add objects of an RPSL dump; of two of one name the first counts.

        >>> known = Contacts()
        >>> known.take([("aut-num", 1, {"aut-num": ["AS64496"], "as-name": ["EXAMPLE"], "tech-c": ["X"]})])
        >>> known.of(64496).named
        True
        """
        for kind, _, attributes in objects:
            if kind == "aut-num":
                asn = asn_of(attributes["aut-num"][0])
                if asn is not None and asn not in self._autnums:
                    self._autnums[asn] = AutNum.of(asn, attributes), attributes
                continue
            handles = attributes["organisation"] if kind == "organisation" else attributes.get("nic-hdl", [])
            for handle in handles:
                self._people.setdefault(handle.upper(), attributes)

    def take_peeringdb(self, path: str, octets: bytes) -> None:
        """Add the networks of a dump of PeeringDB; ReferenceFileError if it is none."""
        expected = 'expected JSON of PeeringDB: {"data": [{"asn": ..., "poc_set": [...]}]}'
        at = ""
        try:
            document: Any = msgspec.json.decode(octets)
            nets = document["net"]["data"] if "net" in document else document["data"]
            apart: dict[int, list[Any]] = {}
            for number, poc in enumerate(document["poc"]["data"] if "poc" in document else (), 1):
                at = f", found another thing as contact {number}"
                apart.setdefault(poc["net_id"], []).append(poc)
            if len(nets) > MAX_NETWORKS:
                raise ReferenceFileError(path, f"more than {MAX_NETWORKS:,} networks")
            for number, net in enumerate(nets, 1):
                at = f", found another thing as network {number}"
                asn = asn_of(str(net["asn"]))
                points = [*(net.get("poc_set") or ()), *apart.get(net.get("id"), ())]
                found = [_of_poc(poc, net) for poc in points if str(poc.get("role", "")).lower() != "abuse"]
                mails = tuple(contact for contact in found if contact.email)
                if asn is not None:
                    self._peering[asn] = str(net.get("name") or ""), mails, bool(found)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ReferenceFileError(path, f"{expected}: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReferenceFileError(path, f"{expected}{at}") from error

    def of(self, asn: int) -> Network:
        """What is known of an AS; ArgumentError: it is none.

        >>> Contacts().of(1).named
        False
        """
        asn = as_asn(asn)
        name, contacts, named = self._peering.get(asn, ("", (), False))
        autnum, attributes = self._autnums.get(asn, (None, {}))
        found = [*contacts]
        for role in ("tech-c", "admin-c", "org"):
            for handle in attributes.get(role, ()):
                found += _of_person(role, self._people.get(handle.upper(), {}))
        if autnum is not None:
            name, named = name or autnum.name, named or bool(autnum.contacts)
        best: dict[str, Contact] = {}
        for contact in sorted(found, key=lambda one: _RANK.get(one.role.lower(), 5)):
            best.setdefault(contact.email.lower(), contact)
        return Network(name, (*best.values(),), None if autnum is None else autnum.states_policy, named)


def _of_poc(poc: dict[str, Any], net: dict[str, Any]) -> Contact:
    email = str(poc.get("email") or "").strip()
    changed = _date(str(poc.get("updated") or net.get("updated") or ""))
    return Contact(email if _EMAIL.fullmatch(email) else "", str(poc.get("role") or ""), "peeringdb", changed)


def _of_person(role: str, attributes: Attributes) -> Iterable[Contact]:
    source = (attributes.get("source", [""])[0].split() or ["rpsl"])[0].lower()
    dates = filter(None, map(_date, [*attributes.get("last-modified", ()), *attributes.get("changed", ())]))
    changed = max(dates, default=None)
    for value in attributes.get("e-mail", ()):
        if _EMAIL.fullmatch(value.strip()):
            yield Contact(value.strip(), role, source, changed)


def _date(text: str) -> datetime.date | None:
    """The day of 2019-05-01T..., or that at the end of a changed: line, 20190501; None: there is none."""
    found = re.search(r"(?:^|\s)(\d{4})-?(\d\d)-?(\d\d)(?=T|\s|$)", text)
    try:
        return datetime.date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def read_contacts(
    rpsl: Iterable[str | os.PathLike[str]] = (), peeringdb: str | os.PathLike[str] | None = None
) -> Contacts:
    """The contacts of RPSL dumps and of a dump of PeeringDB.

    ReferenceFileError: a file cannot be read or is none. ArgumentError: no names.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     print('{"data": [{"asn": 64496, "name": "Example", "poc_set": []}]}', file=file, flush=True)
    ...     read_contacts(peeringdb=file.name).of(64496).name
    'Example'
    """
    known = Contacts()
    for name in as_paths(rpsl):
        known.take(read_objects(name, KEPT))
    if peeringdb is not None:
        name = as_path(peeringdb)
        known.take_peeringdb(name, read_octets(name))
    return known
