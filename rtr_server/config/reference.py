"""The reference of all keys, docs/configuration.md, made from the structs and their docstrings.

    python -m rtr_server.config.reference > docs/configuration.md

A test holds the page against what this makes, so that no key is undocumented and no default is wrong.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from rtr_server.config import Config
from rtr_server.config.values import Network, Octal, Octets, Seconds, Share
from rtr_server.endpoint import Endpoint

HEAD = """\
# The configuration file

`rtr-server serve --config FILE` reads one TOML file; `rtr-server check-config FILE` says what it would serve
where, or everything that is wrong with it, by line and key. A commented example is `contrib/rtr-server.toml`.
Unknown keys are refused. On SIGHUP (`systemctl reload`) the file is read again: a bad one changes nothing,
and what only a restart can change is named in the log.

| kind of value | how it is written |
|---|---|
| time | `"500ms"`, `"30s"`, `"10m"`, `"1h30m"`, `"2d"`, or a number of seconds |
| size | `"64KiB"`, `"64MiB"`, `"75MB"`, or a number of octets |
| share | `"0.1%"`, or a number from 0 to 1 |
| prefix | `"192.0.2.0/24"`, `"2001:db8::/32"`; an address alone stands for itself |
| address | `"192.0.2.1:323"`, `"[::1]:8323"` |
| path | `"/etc/rtr-server/x"`, or relative to the directory of the file |

The options of `rtr-server serve` make the same configuration for the simple case. Each can come from the
environment: `RTR_SERVER_CONFIG`, `RTR_SERVER_VRPS`, `RTR_SERVER_LISTEN` (several, separated by spaces) ...

This page is made from the source: `python -m rtr_server.config.reference > docs/configuration.md`.
"""

_KINDS = {
    Seconds: "time",
    Octets: "size",
    Share: "share",
    Octal: "permissions",
    Endpoint: "address",
    Path: "path",
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
}


def reference() -> str:
    """The whole page.

    >>> "### `[listen.tls]`" in reference()
    True
    """
    return HEAD + "".join(_section(Config, ()))


def undocumented() -> list[str]:
    """The keys without a docstring.

    >>> undocumented()
    []
    """
    return [
        f"{schema.__name__}.{field.name}"
        for schema in _schemas(Config)
        for field in msgspec.structs.fields(schema)
        if not _structs(field.type) and not _texts(schema).get(field.name)
    ]


def _schemas(schema: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    yield schema
    for field in msgspec.structs.fields(schema):
        for inner in _structs(field.type):
            yield from _schemas(inner)


def _section(schema: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[str]:
    """A section and those within it."""
    fields = msgspec.structs.fields(schema)
    rows = [_row(schema, field) for field in fields if not _structs(field.type)]
    if rows:
        yield "\n| key | value | default | meaning |\n|---|---|---|---|\n" + "".join(rows)
    for field in fields:
        inner = (*path, field.encode_name)
        listed = _is_list(field.type)
        name = f"[[{'.'.join(inner)}]]" if listed else f"[{'.'.join(inner)}]"
        mark = "#" * min(2 + len(path), 4)
        for found in _structs(field.type):
            tag = found.__struct_config__.tag
            kind = f' `type = "{tag}"`' if tag else ""
            yield f"\n{mark} `{name}`{kind}\n\n{_intro(found)}\n"
            yield from _section(found, inner)


def _row(schema: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> str:
    meaning = _texts(schema).get(field.name, "")
    return f"| `{field.encode_name}` | {_kind(field.type)} | {_default(field)} | {meaning} |\n"


def _intro(schema: type[msgspec.Struct]) -> str:
    """The docstring without its example."""
    text = (inspect.getdoc(schema) or "").split(">>>")[0].strip()
    return _markdown(text.partition("``: ")[2] if text.startswith("``[") else text)


def _markdown(text: str) -> str:
    words = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return words if re.match(r"[\w`]*[:/]", words) else words[:1].upper() + words[1:]


def _texts(schema: type[msgspec.Struct]) -> dict[str, str]:
    """The docstrings below the fields, those of the classes it inherits from among them."""
    texts: dict[str, str] = {}
    for owner in reversed(schema.__mro__):
        if owner.__module__.startswith("rtr_server."):
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
            texts |= _below(typing.cast(ast.ClassDef, tree))
    return texts


def _below(tree: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        match field, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = _markdown(text)
    return texts


def _default(field: msgspec.structs.FieldInfo) -> str:
    value = field.default
    if field.required:
        return "required"
    if value is msgspec.NODEFAULT or value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    plain = isinstance(value, int | float) and not isinstance(value, Seconds | Octets | Share | Octal)
    return f"`{value}`" if plain else f'`"{value}"`'


def _kind(kind: Any) -> str:
    """A type in the words of the table above."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == Network:
        return "prefix"
    if origin is typing.Annotated:
        return _kind(arguments[0]) + _range(arguments[1:])
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" if isinstance(each, int) else f'`"{each}"`' for each in arguments)
    if origin is tuple:
        return f"list: {_kind(arguments[0])}"
    if origin is dict:
        return f"table: {_kind(arguments[1])}"
    real = [each for each in arguments if each is not types.NoneType]
    if set(typing.get_args(Network)) <= set(real):
        return "prefix"
    return " or ".join(map(_kind, real))


def _range(marks: tuple[Any, ...]) -> str:
    """The bounds of a number."""
    for mark in marks:
        low, high = getattr(mark, "ge", None), getattr(mark, "le", None)
        if low is not None:
            return f", {low} to {high}" if high is not None else f", at least {low}"
    return ""


def _structs(kind: Any) -> list[type[msgspec.Struct]]:
    """The sections within a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return [kind]
    return [found for inner in typing.get_args(kind) for found in _structs(inner)]


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple or any(map(_is_list, typing.get_args(kind)))


if __name__ == "__main__":
    sys.stdout.write(reference())
