"""Arguments as they have to be, or an ArgumentError that says what was expected and what was found."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable
from typing import Any, TypeVar

from rov.errors import ArgumentError

T = TypeVar("T")

LONGEST_SHOWN = 100
"""Characters of a wrong argument that stand in a message."""


def shown(value: object) -> str:
    """What was given, short enough for a message; an int of 5,000 digits has no repr at all.

    >>> shown("x" * 100_000)[-5:]
    'xx...'
    """
    try:
        text = repr(value[: LONGEST_SHOWN + 1] if isinstance(value, (str, bytes)) else value)
    except (ValueError, RecursionError):
        return f"of type {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "..."


def as_index(value: Any) -> int | None:
    """The int that an object stands for, None if it is no integer.

    >>> as_index(7), as_index(7.0)
    (7, None)
    """
    try:
        return operator.index(value)
    except TypeError:
        return None


def as_kind(value: object, kind: type[T], name: str) -> T:
    """The value, which has to be of a kind.

    >>> as_kind("x", int, "count")
    Traceback (most recent call last):
    rov.errors.ArgumentError: count: expected int, found 'x'
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{name}: expected {kind.__name__}, found {shown(value)}")
    return value


def as_rows(values: Iterable[Any], kind: type[T], name: str) -> tuple[T, ...]:
    """The items of an iterable, each of which has to be of a kind.

    >>> as_rows(["ripe", 1], str, "trust anchors")
    Traceback (most recent call last):
    rov.errors.ArgumentError: trust anchors row 1: expected str, found 1
    """
    if isinstance(values, (str, bytes)):
        raise ArgumentError(f"{name}: expected rows of {kind.__name__}, found {shown(values)}")
    try:
        rows = tuple(values)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name}: expected rows of {kind.__name__}, found {shown(values)}") from error
    for number, row in enumerate(rows):
        if not isinstance(row, kind):
            raise ArgumentError(f"{name} row {number}: expected {kind.__name__}, found {shown(row)}")
    return rows


def as_flag(value: Any, name: str) -> bool:
    """True or false of whatever has a truth.

    >>> as_flag(1, "strict")
    True
    """
    try:
        return bool(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: expected True or False, found {shown(value)}") from None


def as_path(value: str | os.PathLike[str]) -> str:
    """The name of a file.

    >>> as_path(b"vrps.json")
    'vrps.json'
    """
    try:
        return os.fsdecode(value)
    except TypeError:
        raise ArgumentError(f"path: expected a str or os.PathLike, found {shown(value)}") from None
