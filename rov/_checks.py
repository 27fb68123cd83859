"""Arguments as they have to be, or an ArgumentError that says what was expected and what was found."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from rov.errors import ArgumentError

T = TypeVar("T")

MAX_INT64 = 2**63 - 1
"""What counts and times fit, as columns and files hold them."""

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


def as_int(value: Any, name: str, least: int = 0, most: int = MAX_INT64) -> int:
    """An integer within bounds, of whatever integer type.

    >>> as_int(7.0, "count")
    Traceback (most recent call last):
    rov.errors.ArgumentError: count 7.0: expected an integer of 0 or more
    """
    number = as_index(value)
    if number is None or not least <= number <= most:
        expected = f"{least} or more" if number is None or number < least else f"{most} at most"
        raise ArgumentError(f"{name} {shown(value)}: expected an integer of {expected}")
    return number


def as_kind(value: object, kind: type[T], name: str) -> T:
    """The value, which has to be of a kind.

    >>> as_kind("x", int, "count")
    Traceback (most recent call last):
    rov.errors.ArgumentError: count: expected int, found 'x'
    """
    if not isinstance(value, kind):
        raise ArgumentError(f"{name}: expected {kind.__name__}, found {shown(value)}")
    return value


def as_optional(value: T | None, kind: type[T], name: str) -> T | None:
    """The value, which has to be of a kind, or None.

    >>> as_optional(None, int, "count") is None
    True
    """
    return None if value is None else as_kind(value, kind, name)


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


def as_iterable(values: Iterable[T], name: str) -> Iterator[T]:
    """An iterator over what can be iterated over; what its items are is not looked at.

    >>> as_iterable(7, "routes")
    Traceback (most recent call last):
    rov.errors.ArgumentError: routes: expected an iterable, found 7
    """
    try:
        return iter(values)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}: expected an iterable, found {shown(values)}") from None


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


def as_paths(values: Any) -> list[str]:
    """The names of files, of which one alone may be given as it is.

    >>> as_paths("vrps.json"), as_paths(["a.json", "b.json"])
    (['vrps.json'], ['a.json', 'b.json'])
    """
    given: tuple[Any, ...] = (
        (values,) if isinstance(values, (str, os.PathLike)) else as_rows(values, object, "paths")
    )
    return [as_path(value) for value in given]
