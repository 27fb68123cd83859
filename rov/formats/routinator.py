"""The files that Routinator writes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from rov._lines import Field
from rov.formats.csv import quoted
from rov.formats.lines import Layout, Request, Steps, iso_time, routinator_order, rows
from rov.snapshot import Snapshot

NO_TRUST_ANCHOR = "N/A"
"""What Routinator writes where a row comes from a local exception."""


def _names(request: Request) -> list[str]:
    return [name or NO_TRUST_ANCHOR for name in request.snapshot.trust_anchors]


def _rows(
    request: Request, steps: Steps, names: Iterable[str] = (), separator: bytes = b""
) -> Iterator[bytes]:
    encoded = tuple(name.encode() for name in names)
    return rows(request.columns(), Layout(steps, encoded, separator, routinator_order))


def _json_text(text: str) -> str:
    return msgspec.json.encode(text).decode()


def csv(request: Request) -> Iterator[bytes]:
    """Routinator's csv, without times of expiry."""
    steps: Steps = (
        (b"AS", Field.ASN),
        (b",", Field.PREFIX),
        (b",", Field.MAX_LENGTH),
        (b",", Field.TRUST_ANCHOR),
        (b"\n", Field.NOTHING),
    )
    yield b"ASN,IP Prefix,Max Length,Trust Anchor\n"
    yield from _rows(request, steps, map(quoted, _names(request)))


def csvcompat(request: Request) -> Iterator[bytes]:
    """Every field quoted, as the RIPE NCC validator did."""
    steps: Steps = (
        (b'"AS', Field.ASN),
        (b'","', Field.PREFIX),
        (b'","', Field.MAX_LENGTH),
        (b'","', Field.TRUST_ANCHOR),
        (b'"\n', Field.NOTHING),
    )
    yield b'"ASN","IP Prefix","Max Length","Trust Anchor"\n'
    yield from _rows(request, steps, (name.replace('"', '""') for name in _names(request)))


def csvext(request: Request) -> Iterator[bytes]:
    """With Not After; a Snapshot knows neither the ROA's URI nor Not Before, which are N/A."""
    steps: Steps = (
        (b"N/A,AS", Field.ASN),
        (b",", Field.PREFIX),
        (b",", Field.MAX_LENGTH),
        (b",N/A,", Field.EXPIRES_DATE),
        (b"\n", Field.NOTHING),
    )
    yield b"URI,ASN,IP Prefix,Max Length,Not Before,Not After\n"
    yield from _rows(request, steps)


def json(request: Request) -> Iterator[bytes]:
    """Routinator's json, with ASNs as texts."""
    steps: Steps = (
        (b'    { "asn": "AS', Field.ASN),
        (b'", "prefix": "', Field.PREFIX),
        (b'", "maxLength": ', Field.MAX_LENGTH),
        (b', "ta": ', Field.TRUST_ANCHOR),
        (b" }", Field.NOTHING),
    )
    rows = _rows(request, steps, map(_json_text, _names(request)), b",\n")
    yield from _json(request, rows, f'"ta": "{NO_TRUST_ANCHOR}"')


def jsonext(request: Request) -> Iterator[bytes]:
    """Routinator's jsonext, where a Snapshot knows of the source: trust anchor and notAfter, no object."""
    steps: Steps = (
        (b'    { "asn": "AS', Field.ASN),
        (b'", "prefix": "', Field.PREFIX),
        (b'", "maxLength": ', Field.MAX_LENGTH),
        (b', "source": [ { "type": ', Field.TRUST_ANCHOR),
        (b', "validity": { "notAfter": "', Field.STATED_ISO_TIME),
        (b'" }', Field.STATED),
        (b" }] }", Field.NOTHING),
    )
    rows = _rows(request, steps, map(_json_source, request.snapshot.trust_anchors), b",\n")
    yield from _json(request, rows, f'"source": [ {{ "type": {_json_source("")} }}]')


def _json_source(trust_anchor: str) -> str:
    """What follows the type of a source: a row without trust anchor comes from a local exception."""
    return f'"roa", "tal": {_json_text(trust_anchor)}' if trust_anchor else '"exception", "path": null'


def _json(request: Request, rows: Iterator[bytes], origin: str) -> Iterator[bytes]:
    """The frame of both, and what has no trust anchor in a Snapshot; ``origin`` stands for it."""
    yield f'{{\n  "metadata": {{\n    "generated": {request.at},\n'.encode()
    yield f'    "generatedTime": "{iso_time(request.at)}"\n  }}'.encode()
    if "vrps" in request.parts:
        yield b',\n  "roas": [\n'
        yield from rows
        yield b"\n  ]"
    if "router_keys" in request.parts:
        yield b',\n  "routerKeys": [\n'
        yield ",\n".join(_json_key(key, origin) for key, _ in request.router_keys()).encode() + b"\n  ]"
    if "aspas" in request.parts:
        yield b',\n  "aspas": [\n'
        yield ",\n".join(_json_aspa(aspa, origin) for aspa, _ in request.aspas()).encode() + b"\n  ]"
    yield b"\n}\n"


def _json_key(key: Any, origin: str) -> str:
    return (
        f'    {{ "asn": "AS{key.asn}", "SKI": "{key.ski.hex().upper()}", '
        f'"routerPublicKey": "{_unpadded(key.spki)}", {origin} }}'
    )


def _json_aspa(aspa: Any, origin: str) -> str:
    providers = ", ".join(f'"AS{asn}"' for asn in aspa.providers)
    return f'    {{ "customer": "AS{aspa.customer}", "providers": [{providers}], {origin} }}'


def delta_origins(snapshot: Snapshot) -> Iterator[bytes]:
    """The VRPs as elements of Routinator's json-delta, with commas between them, in the order of the set.

    >>> from rov import Prefix, Vrp
    >>> snapshot = Snapshot.from_vrps([Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)])
    >>> b"".join(delta_origins(snapshot))
    b'{"type":"routeOrigin","asn":"AS64496","prefix":"192.0.2.0/24","maxLength":24}'
    """
    steps: Steps = (
        (b'{"type":"routeOrigin","asn":"AS', Field.ASN),
        (b'","prefix":"', Field.PREFIX),
        (b'","maxLength":', Field.MAX_LENGTH),
        (b"}", Field.NOTHING),
    )
    return rows((snapshot.ipv4, snapshot.ipv6), Layout(steps, separator=b","))


def openbgpd(request: Request) -> Iterator[bytes]:
    """A roa-set for bgpd.conf(5)."""
    steps: Steps = (
        (b"    ", Field.PREFIX),
        (b" maxlen ", Field.LONGER_MAX_LENGTH),
        (b" source-as ", Field.ASN),
        (b"\n", Field.NOTHING),
    )
    yield b"roa-set {\n"
    yield from _rows(request, steps)
    yield b"}\n"


def _bird(request: Request, keyword: bytes) -> Iterator[bytes]:
    steps: Steps = (
        (keyword, Field.PREFIX),
        (b" max ", Field.MAX_LENGTH),
        (b" as ", Field.ASN),
        (b";\n", Field.NOTHING),
    )
    return _rows(request, steps)


def bird1(request: Request) -> Iterator[bytes]:
    """The inside of a roa table of BIRD 1."""
    yield from _bird(request, b"roa ")


def bird2(request: Request) -> Iterator[bytes]:
    """The inside of a static protocol of BIRD 2, which takes one family: leave the other out."""
    yield from _bird(request, b"route ")


def rpsl(request: Request) -> Iterator[bytes]:
    """route and route6 objects; created and last-modified are the data's own time."""
    at = iso_time(request.at).encode()
    steps: Steps = (
        (b"\nroute", Field.FAMILY_DIGIT),
        (b": ", Field.PREFIX),
        (b"\norigin: AS", Field.ASN),
        (
            b"\ndescr: RPKI attestation\nmnt-by: NA\ncreated: " + at + b"\nlast-modified: " + at
            + b"\nsource: ROA-",
            Field.TRUST_ANCHOR,
        ),
        (b"-RPKI-ROOT\n\n", Field.NOTHING),
    )  # fmt: skip
    names = (" ".join(name.upper().split()) for name in _names(request))
    yield from _rows(request, steps, names)


def slurm(request: Request) -> Iterator[bytes]:
    """The set as assertions of a SLURM file of RFC 8416; ASPAs are left out."""
    yield from _slurm(request, 1)


def slurm2(request: Request) -> Iterator[bytes]:
    """The set as assertions of a SLURM file of version 2, with ASPAs."""
    yield from _slurm(request, 2)


def _slurm(request: Request, version: int) -> Iterator[bytes]:
    filters = ["prefixFilters", "bgpsecFilters", "aspaFilters"][: version + 1]
    listed = ",\n".join(f'    "{name}": [ ]' for name in filters)
    yield f'{{\n  "slurmVersion": {version},\n  "validationOutputFilters": {{\n{listed}\n  }},\n'.encode()
    yield b'  "locallyAddedAssertions": {\n    "prefixAssertions": [\n'
    steps: Steps = (
        (b'      {\n        "asn": ', Field.ASN),
        (b',\n        "prefix": "', Field.PREFIX),
        (b'"', Field.NOTHING),
        (b',\n        "maxPrefixLength": ', Field.LONGER_MAX_LENGTH),
        (b',\n        "comment": ', Field.TRUST_ANCHOR),
        (b"\n      }", Field.NOTHING),
    )
    yield from _rows(request, steps, map(_json_text, _names(request)), b",\n")
    yield b'\n    ],\n    "bgpsecAssertions": [\n'
    yield ",\n".join(_slurm_key(key) for key, _ in request.router_keys()).encode() + b"\n    ]"
    if version > 1:
        yield b',\n    "aspaAssertions": [\n'
        yield ",\n".join(_slurm_aspa(aspa) for aspa, _ in request.aspas()).encode() + b"\n    ]"
    yield b"\n  }\n}\n"


def _unpadded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _slurm_key(key: Any) -> str:
    return (
        f'      {{\n        "asn": {key.asn},\n        "SKI": "{_unpadded(key.ski)}",\n'
        f'        "routerPublicKey": "{_unpadded(key.spki)}",\n'
        f'        "comment": "{NO_TRUST_ANCHOR}"\n      }}'
    )


def _slurm_aspa(aspa: Any) -> str:
    providers = ", \n".join(f"          {asn}" for asn in aspa.providers)
    return (
        f'      {{ \n        "customerAsn": {aspa.customer}, \n        "providerAsns": [\n{providers}\n'
        f'        ],\n        "comment": "{NO_TRUST_ANCHOR}"\n      }}'
    )
