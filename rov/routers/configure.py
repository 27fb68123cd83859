"""``configure``: the files that make a router validate origins (RFC 6811), from templates."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rov._checks import as_kind, as_optional, as_path, shown
from rov._templates import packaged_templates, rendered
from rov.errors import ArgumentError
from rov.formats import encode
from rov.routers.settings import (
    ROLES,
    Cache,
    Neighbor,
    check_caches,
    check_neighbors,
    check_router_id,
)
from rov.snapshot import Snapshot
from rov.types import Vrp, as_asn


class Router(NamedTuple):
    """What is known of a kind of router.

    template: its file in the directory of templates; values: what it is given besides the settings.
    roles: those that it can have. static: whether VRPs can be written into its configuration. names:
    whether it takes a cache by its host name.

    >>> Router("BIRD 2", "bird2.j2").static
    False
    """

    title: str
    template: str
    roles: tuple[str, ...] = ("transit", "ibgp")
    static: bool = False
    names: bool = True
    values: tuple[tuple[str, Any], ...] = ()


ROUTERS: dict[str, Router] = {
    "bird2": Router("BIRD 2", "bird2.j2", ROLES, static=True),
    "openbgpd": Router("OpenBGPD 7", "openbgpd.j2", ROLES, static=True, names=False),
    "frr8": Router("FRR 8 and 9", "frr.j2", ROLES, values=(("version", 8),)),
    "frr10": Router("FRR 10 and newer", "frr.j2", ROLES, values=(("version", 10),)),
    "junos": Router("Junos", "junos.j2", static=True, names=False),
    "iosxr": Router("IOS XR", "iosxr.j2", ("transit",)),
    "eos": Router("Arista EOS", "eos.j2"),
    "sros": Router("Nokia SR OS (MD-CLI)", "sros.j2", names=False),
    "arouteserver": Router("arouteserver", "arouteserver.j2", ("route-server",), static=True),
}
"""The routers that ``configure`` knows, by name."""

INCLUDED_BY_AROUTESERVER = {
    "bird/rpki_rtr_config.local": "arouteserver-bird.j2",
    "openbgpd/rpki_rtr_config.local": "arouteserver-openbgpd.j2",
}
"""What arouteserver has the route server include: its own templates name the tables."""


def configure(
    router: str,
    asn: int,
    *,
    caches: Sequence[Cache | str] = (),
    vrps: Snapshot | None = None,
    role: str | None = None,
    neighbors: Sequence[Neighbor | str] = (),
    router_id: str | None = None,
    templates: str | os.PathLike[str] | None = None,
    directory: str = "/etc/arouteserver",
    at: int = 0,
) -> dict[str, str]:
    """The files of a configuration that rejects routes invalid by RFC 6811, and keeps those not found.

    router: a key of ROUTERS. asn: our AS. Either caches, one or more as Cache or "HOST:PORT", or vrps, to
    be written into it. role: one of ROLES, by default the first that the router can have. neighbors:
    sessions to write, as Neighbor or "ADDRESS=ASN"; without them there is a group or template to attach
    them to. templates: a directory whose files replace those of the package by name. directory: where
    the files of arouteserver will be. at: unix seconds, the time that a VRP file states.

    The answer is {file name: text}, one file but for arouteserver. ArgumentError: a setting that is wrong,
    or that this router cannot have, or a fault in a template. ExtraError: jinja2 is not installed.

    >>> text = configure("openbgpd", 64496, caches=["192.0.2.10:8323"])["openbgpd.conf"]
    >>> "deny quick from ebgp ovs invalid" in text
    True
    """
    if as_kind(router, str, "router") not in ROUTERS:
        raise ArgumentError(f"router {shown(router)}: expected one of {', '.join(ROUTERS)}")
    kind = ROUTERS[router]
    as_optional(vrps, Snapshot, "vrps")
    known = check_caches(caches)
    chosen = kind.roles[0] if role is None else as_kind(role, str, "role")
    own = as_asn(asn, "AS", 1)
    _check(router, kind, known, vrps, chosen)
    values = {
        **dict(kind.values),
        "router": router,
        "title": kind.title,
        "asn": own,
        "caches": known,
        "role": chosen,
        "neighbors": check_neighbors(neighbors, chosen, own),
        "router_id": None if router_id is None else check_router_id(router_id),
        "static": vrps is not None,
        "vrps": _static(router, vrps, at),
        "trust_anchors": () if vrps is None else sorted(filter(None, vrps.trust_anchors)),
        "directory": as_kind(directory, str, "directory"),
        "families": (4, 6),
    }
    at_hand = None if templates is None else Path(as_path(templates))
    if at_hand is not None and not os.path.isdir(at_hand):
        raise ArgumentError(f"templates {shown(str(at_hand))}: expected a directory")
    with packaged_templates("rov.routers") as packaged:
        where = [*([at_hand] if at_hand else []), packaged]

        def text(name: str) -> str:
            return rendered(name, where, values)

        if router == "arouteserver":
            return _arouteserver(text, vrps, at)
        return {_file_name(router): text(kind.template)}


def _check(router: str, kind: Router, caches: Sequence[Cache], vrps: Snapshot | None, role: str) -> None:
    """ArgumentError for a setting that the router cannot have."""
    if role not in ROLES:
        raise ArgumentError(f"role {shown(role)}: expected one of {', '.join(ROLES)}")
    if role not in kind.roles:
        raise ArgumentError(f"role {role}: {kind.title} can be {' or '.join(kind.roles)} here")
    if (vrps is None) == (not caches):
        raise ArgumentError("expected one or more caches, or VRPs to write into the configuration")
    if vrps is not None and not kind.static:
        known = ", ".join(name for name, other in ROUTERS.items() if other.static)
        raise ArgumentError(f"{router}: it takes VRPs from a cache only; into a configuration: {known}")
    for cache in caches:
        if not kind.names and not cache.is_address:
            raise ArgumentError(f"cache {cache.host}: {kind.title} takes addresses only, no host names")


def _file_name(router: str) -> str:
    return "bird.conf" if router == "bird2" else f"{router}.conf"


def _static(router: str, vrps: Snapshot | None, at: int) -> dict[str, str]:
    """VRPs in the words of the router, by family where it keeps two tables."""
    if vrps is None or router == "arouteserver":
        return {}
    if router == "openbgpd":
        return {"both": _text(vrps, "openbgpd", "routinator", at)}
    if router == "bird2":
        # the rows of a family name their trust anchors by number
        four = Snapshot.build(vrps.ipv4, None, trust_anchors=vrps.trust_anchors)
        six = Snapshot.build(None, vrps.ipv6, trust_anchors=vrps.trust_anchors)
        return {"4": _text(four, "bird2", "routinator", at), "6": _text(six, "bird2", "routinator", at)}
    return {"both": "".join(_record(vrp) for vrp in vrps.vrps())}


def _record(vrp: Vrp) -> str:
    """A VRP as a static record of Junos."""
    return (
        f"            record {vrp.prefix} {{ maximum-length {vrp.max_length} "
        f"{{ origin-autonomous-system {vrp.asn} {{ validation-state valid; }} }} }}\n"
    )


def _text(vrps: Snapshot, to: str, dialect: str, at: int) -> str:
    return b"".join(encode(vrps, to, dialect, at=at, exclude=["router_keys", "aspas"])).decode()


def _arouteserver(text: Callable[[str], str], vrps: Snapshot | None, at: int) -> dict[str, str]:
    """general.yml, and what it refers to: VRPs as a file, or how to reach the caches."""
    general = {"general.yml": text(ROUTERS["arouteserver"].template)}
    if vrps is not None:
        return general | {"vrps.json": _text(vrps, "json", "arouteserver", at)}
    return general | {name: text(template) for name, template in INCLUDED_BY_AROUTESERVER.items()}
