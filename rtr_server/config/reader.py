"""From TOML to frozen structs: every fault is found, each told with its key, its line and what was expected.

The types of the structs are the schema, and msgspec checks the values. The walk through the tables is our
own, since msgspec ends at the first fault and knows no lines.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, Union

import msgspec

from rtr_server.config.faults import ConfigError, Problem, SectionError
from rtr_server.config.lines import Path as KeyPath
from rtr_server.config.lines import find_lines, line_of
from rtr_server.config.values import Network, Octal, Octets, Seconds, Share, network
from rtr_server.endpoint import Endpoint

MAX_FILE = 16 << 20
"""Octets of a configuration file: thousands of routers fit into a hundredth of it."""

Section = TypeVar("Section", bound=msgspec.Struct)


class _Missing:
    """What stands where a value was wrong: the struct around it is not made."""


_MISSING = _Missing()


def read_toml(path: Path, schema: type[Section]) -> Section:
    """The file as a ``schema``; ConfigError with everything that is wrong with it."""
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_FILE + 1)
        if len(octets) > MAX_FILE:
            raise ConfigError(str(path), [Problem("", f"longer than {MAX_FILE:,} octets")])
        text = octets.decode()
        tables = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(str(path), [Problem("", error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [Problem("", f"offset {error.start}: expected UTF-8")]) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(str(path), [Problem("", f"no TOML: {error}")]) from error
    return build(tables, schema, name=str(path), base=path.absolute().parent, lines=find_lines(text))


def build(
    tables: dict[str, Any],
    schema: type[Section],
    *,
    name: str,
    base: Path,
    lines: dict[KeyPath, int] | None = None,
) -> Section:
    """Decoded TOML as a ``schema``; paths are taken relative to ``base``; ConfigError as in ``read_toml``."""
    builder = _Builder(base)
    built = builder.struct(tables, schema, ())
    if builder.problems:
        found = lines or {}
        located = [Problem(show(path), text, line_of(path, found)) for path, text in builder.problems]
        raise ConfigError(name, sorted(located, key=lambda problem: problem.line or 0))
    return typing.cast(Section, built)


def show(path: KeyPath) -> str:
    """A key path as text, entries of lists counted from 1.

    >>> show(("listen", 0, "tls", "certificate"))
    'listen[1].tls.certificate'
    """
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def sections(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, msgspec.Struct]]:
    """Every struct of a configuration with its path, from the top down."""
    if isinstance(value, msgspec.Struct):
        yield path, value
        for field in msgspec.structs.fields(value):
            yield from sections(getattr(value, field.name), (*path, field.encode_name))
    elif isinstance(value, tuple) and not hasattr(value, "_fields"):
        for number, item in enumerate(value):
            yield from sections(item, (*path, number))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from sections(item, (*path, key))


class _Builder:
    """Builds structs and gathers what is wrong on the way."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.problems: list[tuple[KeyPath, str]] = []
        self._decoders: dict[Any, Callable[[Any], Any]] = {
            Seconds: Seconds.parse,
            Octets: Octets.parse,
            Share: Share.parse,
            Octal: Octal.parse,
            Network: network,
            Endpoint: _endpoint,
            Path: self._path,
        }

    def struct(self, table: object, schema: type[msgspec.Struct], path: KeyPath) -> Any:
        """A struct from its table, _MISSING if there was a fault."""
        if not isinstance(table, dict):
            return self._fault(path, f"expected a table, got {_kind(table)}")
        before = len(self.problems)
        fields = {field.encode_name: field for field in msgspec.structs.fields(schema)}
        tag = schema.__struct_config__.tag_field
        known = [*fields, tag] if tag else [*fields]
        for key in table:
            if key not in known:
                self._fault((*path, key), f"unknown key{_nearest(key, known)}")
        values = {
            field.name: self.value(table[key], field.type, (*path, key))
            for key, field in fields.items()
            if key in table
        }
        for key, field in fields.items():
            if field.required and key not in table:
                self._fault(path, f"{key} is missing")
        if len(self.problems) > before:
            return _MISSING
        try:
            return schema(**values)
        except SectionError as fault:
            return self._fault((*path, *keys_of(fault.key)), fault.text)
        except (ValueError, TypeError) as error:
            return self._fault(path, str(error))

    def value(self, value: object, kind: Any, path: KeyPath) -> Any:
        """A value of any type that structs use."""
        if kind in self._decoders:
            return self._leaf(lambda: self._decoders[kind](value), path)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(value, kind, path)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is tuple and arguments[1:] == (...,):
            return self._items(value, arguments[0], path)
        if origin is dict:
            return self._entries(value, arguments[1], path)
        if origin is typing.Literal:
            return self._choice(value, arguments, path)
        if origin in (Union, types.UnionType):
            return self._union(value, kind, path)
        return self._leaf(lambda: msgspec.convert(value, kind), path)

    def _items(self, value: object, kind: Any, path: KeyPath) -> Any:
        if not isinstance(value, list):
            return self._fault(path, f"expected a list, got {_kind(value)}")
        return tuple(self.value(item, kind, (*path, number)) for number, item in enumerate(value))

    def _entries(self, value: object, kind: Any, path: KeyPath) -> Any:
        if not isinstance(value, dict):
            return self._fault(path, f"expected a table, got {_kind(value)}")
        return {key: self.value(item, kind, (*path, key)) for key, item in value.items()}

    def _union(self, value: object, kind: Any, path: KeyPath) -> Any:
        """X | None is X, as TOML has no null; structs are told apart by their tag; else msgspec's own."""
        real = [each for each in typing.get_args(kind) if each is not types.NoneType]
        if len(real) == 1:
            return self.value(value, real[0], path)
        if set(real) == set(typing.get_args(Network)):
            return self._leaf(lambda: network(value), path)
        tagged = {
            each.__struct_config__.tag: each
            for each in real
            if isinstance(each, type) and issubclass(each, msgspec.Struct)
        }
        if not tagged:
            return self._leaf(lambda: msgspec.convert(value, kind), path)
        if not isinstance(value, dict):
            return self._fault(path, f"expected a table, got {_kind(value)}")
        field = str(real[0].__struct_config__.tag_field)
        if value.get(field) not in tagged:
            found = f"{field} is missing" if field not in value else f"{field} {value[field]!r}"
            return self._fault((*path, field), f"{found}: expected {', '.join(map(str, tagged))}")
        return self.struct(value, tagged[value[field]], path)

    def _choice(self, value: object, choices: tuple[Any, ...], path: KeyPath) -> Any:
        if any(value == choice and type(value) is type(choice) for choice in choices):
            return value
        return self._fault(path, f"{value!r}: expected {', '.join(map(str, choices))}")

    def _leaf(self, convert: Callable[[], Any], path: KeyPath) -> Any:
        try:
            return convert()
        except (ValueError, TypeError, msgspec.ValidationError) as error:
            return self._fault(path, _plain(str(error)))

    def _path(self, value: object) -> Path:
        if not isinstance(value, str) or not value or "\0" in value:
            raise ValueError(f"{value!r}: expected a path, as text")
        return self._base / Path(value).expanduser()

    def _fault(self, path: KeyPath, text: str) -> _Missing:
        self.problems.append((path, text))
        return _MISSING


def keys_of(dotted: str) -> KeyPath:
    """The inverse of ``show``.

    >>> keys_of("listen[1].tls.certificate")
    ('listen', 0, 'tls', 'certificate')
    """
    parts = re.findall(r"\[(\d+)\]|([^.\[\]]+)", dotted)
    return tuple(int(number) - 1 if number else key for number, key in parts)


def _endpoint(value: object) -> Endpoint:
    if not isinstance(value, str):
        raise ValueError(f"{value!r}: expected HOST:PORT, as text")
    return Endpoint.parse(value)


def _nearest(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, 1)
    return f", is it {close[0]}?" if close else f": expected {', '.join(known)}"


_KINDS = {
    dict: "a table",
    list: "a list",
    str: "text",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)


_WORDS = {"str": "text", "int": "an integer", "float": "a number", "bool": "true or false", "|": "or"}


def _plain(text: str) -> str:
    """msgspec's messages in the words of TOML."""

    def words(found: re.Match[str]) -> str:
        return " ".join(_WORDS.get(word, word) for word in found[1].split())

    text = re.sub("`([^`]*)`", words, text)
    return text[:1].lower() + text[1:]
