"""VRP files in JSON: an object with a list "roas", or such a list alone.

The shapes of one family: rpki-client (2020 to today), Routinator json and jsonext, RIPE NCC validator 3
export.json, Cloudflare and gortr rpki.json, FORT. Fields that no payload needs are skipped unread.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from rov.errors import VrpFileError
from rov.formats.payload import AspaRow, KeyRow, Source, provenance, take_aspas, take_router_keys
from rov.formats.report import VRPS, Intake
from rov.formats.times import parse_time

SHOWN_KEYS = 8
"""How many keys of an unknown object an error shows."""

Number = int | str | None


class _VrpRow(msgspec.Struct, gc=False):
    """Names as in the files; gc=False: there are a million, and none can be part of a cycle."""

    asn: Number = None
    prefix: str | None = None
    maxLength: Number = None  # noqa: N815
    ta: str | None = None
    expires: int | None = None
    source: list[Source] | None = None


class _Metadata(msgspec.Struct):
    generated: int | None = None
    generatedTime: str | None = None  # noqa: N815
    buildtime: str | None = None
    buildmachine: str | None = None


class _File(msgspec.Struct):
    """All rows decoded at once."""

    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    roas: list[_VrpRow] | msgspec.UnsetType | None = msgspec.UNSET
    aspas: list[AspaRow] | msgspec.UnsetType | None = msgspec.UNSET
    bgpsec_keys: list[KeyRow] | msgspec.UnsetType | None = msgspec.UNSET
    routerKeys: list[KeyRow] | msgspec.UnsetType | None = msgspec.UNSET  # noqa: N815
    slurmVersion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


class _LooseFile(msgspec.Struct):
    """Each row undecoded, so that a bad one can be named or left out."""

    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    roas: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    aspas: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    bgpsec_keys: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET
    routerKeys: list[msgspec.Raw] | msgspec.UnsetType | None = msgspec.UNSET  # noqa: N815
    slurmVersion: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


_PAYLOAD = ("roas", "aspas", "bgpsec_keys", "routerKeys")
_FILE = msgspec.json.Decoder(_File)
_LOOSE_FILE = msgspec.json.Decoder(_LooseFile)
_LIST = msgspec.json.Decoder(list[_VrpRow])
_LOOSE_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_METADATA = msgspec.json.Decoder(_Metadata)
_ROWS: dict[str, msgspec.json.Decoder[Any]] = {
    "roas": msgspec.json.Decoder(_VrpRow),
    "aspas": msgspec.json.Decoder(AspaRow),
    "bgpsec_keys": msgspec.json.Decoder(KeyRow),
    "routerKeys": msgspec.json.Decoder(KeyRow),
}

T = TypeVar("T")


@contextmanager
def gc_paused() -> Iterator[None]:
    """Decoding makes millions of objects and no garbage: collections in between only cost time.

    >>> with gc_paused():
    ...     gc.isenabled()
    False
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_json(data: bytes, intake: Intake) -> str:
    """Put what a JSON file holds into intake; the name of its format. VrpFileError as in rov.read.

    >>> intake = Intake("x.json", strict=True)
    >>> read_json(b'[{"asn": 64496, "prefix": "192.0.2.0/24"}]', intake), len(intake.rows)
    ('JSON list', 1)
    """
    with gc_paused():
        if data.startswith(b"["):
            take(VRPS, _decode(_LIST, _LOOSE_LIST, data, intake), intake)
            return "JSON list"
        file = _decode(_FILE, _LOOSE_FILE, data, intake)
        form = _describe(file, data, intake)
        for section in _PAYLOAD:
            take(section, getattr(file, section) or [], intake)
        return form


def read_skeleton(skeleton: bytes, mark: bytes, first: Any, loose: bool, intake: Intake) -> str | None:
    """As read_json, of an object whose VRP rows, taken already, have a mark, a row, in their place.

    first is the first of them or None, loose whether the types of any did not fit. None: the list of
    rows that counts in the object is not the one that has the mark.

    >>> intake, mark = Intake("x.json", strict=True), b'{"ta":"5f"}'
    >>> read_skeleton(b'{"roas": [{"ta":"5f"}], "aspas": []}', mark, None, False, intake)
    'JSON'
    """
    file = _decode(_FILE, _LOOSE_FILE, skeleton, intake)
    if [_mark(row) for row in file.roas or []] != [mark]:
        return None
    # where the types of one row do not fit, none says which Routinator wrote it, as in read_json
    file.roas = [] if first is None or loose or isinstance(file, _LooseFile) else [first]
    form = _describe(file, skeleton, intake)
    for section in _PAYLOAD:
        if section != VRPS:
            take(section, getattr(file, section) or [], intake)
    return form


def decode_rows(text: memoryview) -> list[Any]:
    """The VRP rows of a list, each undecoded if the types of some do not fit; msgspec.DecodeError.

    >>> [bytes(row) for row in decode_rows(memoryview(b'[{"ta": 1}]'))]
    [b'{"ta": 1}']
    """
    try:
        return _LIST.decode(text)
    except msgspec.ValidationError:
        return _LOOSE_LIST.decode(bytes(text))


def _decode(
    decoder: msgspec.json.Decoder[Any], loose: msgspec.json.Decoder[Any], data: bytes, intake: Intake
) -> Any:
    """The typed decoder's result, or the loose one's where the types of some row do not fit."""
    try:
        return _decoded(decoder.decode, data, intake)
    except msgspec.ValidationError:
        pass
    try:
        return _decoded(loose.decode, data, intake)
    except msgspec.ValidationError as error:
        raise VrpFileError(intake.name, f"JSON, but no VRPs as expected: {error}") from error


def _decoded(decode: Callable[[bytes], T], data: bytes, intake: Intake) -> T:
    """ValidationError passes: the JSON is sound, only its types are not the expected ones."""
    try:
        return decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VrpFileError(intake.name, f"no sound JSON: {error}") from error
    except RecursionError as error:
        raise VrpFileError(intake.name, "no sound JSON: nested too deeply") from error


def _mark(row: _VrpRow | msgspec.Raw) -> bytes:
    """The mark in place of all rows, as it stood in the file."""
    return bytes(row) if isinstance(row, msgspec.Raw) else msgspec.json.encode({"ta": row.ta})


def _describe(file: _File | _LooseFile, data: bytes, intake: Intake) -> str:
    """What a file is and when it was made, if it is a VRP file."""
    _check(file, data, intake)
    metadata = _metadata(file.metadata)
    intake.generated = _generated(metadata)
    return _format(file, metadata)


def _check(file: _File | _LooseFile, data: bytes, intake: Intake) -> None:
    """VrpFileError if the object is something other than a VRP file."""
    if file.slurmVersion is not msgspec.UNSET:
        raise VrpFileError(intake.name, "expected a VRP file, found a SLURM file (RFC 8416)")
    if all(getattr(file, section) is msgspec.UNSET for section in _PAYLOAD):
        keys = list(_decoded(msgspec.json.Decoder(dict[str, msgspec.Raw]).decode, data, intake))
        found = ", ".join(repr(key[:40]) for key in keys[:SHOWN_KEYS]) or "no keys at all"
        raise VrpFileError(intake.name, f'expected an object with a list "roas", found one with {found}')


def _metadata(raw: msgspec.Raw | msgspec.UnsetType) -> _Metadata:
    """What it says of the time, if it says so in a known way; it is no payload, so nothing is a fault."""
    try:
        return _Metadata() if isinstance(raw, msgspec.UnsetType) else _METADATA.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        # what is kept raw has not been looked at, so its texts may be no UTF-8
        return _Metadata()


def _generated(metadata: _Metadata) -> int | None:
    if metadata.generated is not None:
        return metadata.generated if 0 <= metadata.generated < 2**62 else None
    for text in (metadata.buildtime, metadata.generatedTime):
        try:
            if text is not None:
                return parse_time(text)
        except (ValueError, OverflowError):
            continue
    return None


def _format(file: _File | _LooseFile, metadata: _Metadata) -> str:
    """The producer, as far as the shape tells."""
    if metadata.buildtime is not None or metadata.buildmachine is not None:
        return "rpki-client JSON"
    if metadata.generatedTime is not None:
        return "Routinator extended JSON" if _has_source(file) else "Routinator JSON"
    return "gortr JSON" if metadata.generated is not None else "JSON"


def _has_source(file: _File | _LooseFile) -> bool:
    first = [(getattr(file, section) or [None])[0] for section in _PAYLOAD]
    return any(getattr(row, "source", None) is not None for row in first)


def take(section: str, rows: list[Any], intake: Intake, before: int = 0) -> None:
    """Check the rows of one list, which follow so many others, and put them into intake.

    >>> intake = Intake("x.json", strict=False)
    >>> take(VRPS, decode_rows(memoryview(b'[{"asn": 1}]')), intake, 7)
    >>> str(intake.skipped[0])
    "roas row 8: prefix None: expected a text such as '192.0.2.0/24'"
    """
    numbers: list[int] | None = None
    count = len(rows)
    if rows and isinstance(rows[0], msgspec.Raw):
        rows, numbers = _decode_each(section, rows, intake, before)

    def report(row: int, fault: str) -> None:
        intake.bad(section, row + before if numbers is None else numbers[row - 1], fault)

    if section == VRPS:
        intake.vrp_rows += count
        intake.rows.extend(rows, provenance, report)
    elif section == "aspas":
        take_aspas(rows, intake, report)
    else:
        take_router_keys(rows, intake, report)


def _decode_each(
    section: str, raws: list[msgspec.Raw], intake: Intake, before: int
) -> tuple[list[Any], list[int]]:
    """The rows whose types fit, and their numbers in the file."""
    rows, numbers = [], []
    decode = _ROWS[section].decode
    for number, raw in enumerate(raws, before + 1):
        try:
            rows.append(decode(raw))
        except msgspec.ValidationError as error:
            intake.bad(section, number, str(error))
        else:
            numbers.append(number)
    return rows, numbers
