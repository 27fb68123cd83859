"""A VRP file as text, what it holds, and the fault that a reader names."""

from __future__ import annotations

import base64

import pytest

from rov import Prefix, RouterKey, Snapshot, Vrp, VrpFileError
from rov.formats import read_bytes

SKI = "5D4250E2D81D4448D8A29EFCE91D29FF075EC9E2"
SPKI = b"\x30\x59" + bytes(range(89))
PUBKEY = base64.b64encode(SPKI).decode()
KEY = RouterKey(15562, bytes.fromhex(SKI), SPKI)

TWO = Snapshot.from_vrps(
    [Vrp(Prefix.parse("192.0.2.0/24"), 25, 64496), Vrp(Prefix.parse("2001:db8::/32"), 32, 4200000000)]
)
"""What each good file holds."""

RPKI_CLIENT = """{
  "metadata": {"buildmachine": "x", "buildtime": "2025-07-20T09:31:33Z"},
  "roas": [
    { "asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 25, "ta": "ripe", "expires": 1753453058 },
    { "asn": 4200000000, "prefix": "2001:DB8::/32", "maxLength": 32, "ta": "apnic", "expires": 1753590490 }
  ],
  "nonfunc_cas": [{"location": "x"}],
  "signedprefixlists": [{"asid": 1, "prefixes": ["192.0.2.0/24"]}]
}"""


def fault(text: str | bytes, strict: bool = True) -> str:
    """The error that a file gives, without its name."""
    with pytest.raises(VrpFileError) as caught:
        read_bytes(text.encode() if isinstance(text, str) else text, "FILE", strict=strict)
    assert str(caught.value).startswith("FILE: ")
    return str(caught.value).removeprefix("FILE: ")
