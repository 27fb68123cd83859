"""Junk of every kind, and what is passed in its place: whatever is public gives an answer or a RovError."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import rov
from rov import Aspa, Delta, Prefix, RouterKey, Snapshot, Vrp, VrpColumns, VrpIndex
from rov.aspa import AspaIndex, Direction

PREFIX = Prefix.parse("10.0.0.0/8")
VRP = Vrp(PREFIX, 24, 64496)
SNAPSHOT = Snapshot.build(
    VrpColumns.of(4, [VRP]),
    VrpColumns.ipv6([[1 << 63, 0]], [1], [64], [64496], [1_700_000_000]),
    aspas=[Aspa(64496, (64497,))],
    router_keys=[RouterKey(64496, bytes(20), b"key")],
)
OTHER = Snapshot.from_vrps([VRP])
INDEX = VrpIndex(SNAPSHOT)
ASPAS = AspaIndex(SNAPSHOT)
DELTA = Delta(OTHER, SNAPSHOT - OTHER)


def nest(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def closed_file() -> io.StringIO:
    file = io.StringIO("x")
    file.close()
    return file


def ring() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


JUNK: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "bytes": lambda: b"10.0.0.0/8",
    "bytearray": lambda: bytearray(b"x"),
    "float": lambda: 1.5,
    "nan": lambda: float("nan"),
    "infinity": lambda: float("inf"),
    "complex": lambda: 1j,
    "zero": lambda: 0,
    "negative": lambda: -1,
    "huge": lambda: 10**30,
    "longer than its repr may be": lambda: 10**5000,
    "true": lambda: True,
    "empty text": lambda: "",
    "text": lambda: "10.0.0.0/33",
    "text of another kind": lambda: np.str_("10.0.0.0/8"),
    "long text": lambda: "1" * 100_000,
    "half a surrogate pair": lambda: "10.0.0.0/8\ud800",
    "a zero character": lambda: "10.0.0.0/8\0",
    "empty list": list,
    "list of None": lambda: [None],
    "list of texts": lambda: ["10.0.0.0/8"],
    "list of junk": lambda: [1, "x", None, 2.5],
    "ragged list": lambda: [[1], [2, 3]],
    "pair": lambda: (1, 2),
    "pair of None": lambda: (None, None),
    "deep nest": lambda: nest(500),
    "ring": ring,
    "dict": lambda: {"prefix": 1},
    "set": lambda: {1, 2},
    "object": object,
    "class": lambda: int,
    "function": lambda: len,
    "generator": lambda: (i for i in range(3)),
    "closed file": closed_file,
    "float array": lambda: np.zeros(3),
    "nan array": lambda: np.full(1, np.nan),
    "square array": lambda: np.zeros((2, 2), np.uint32),
    "scalar array": lambda: np.array(7),
    "object array": lambda: np.array([None, "x"], object),
    "text array": lambda: np.array(["x"]),
    "date array": lambda: np.array(["2025-01-01"], "datetime64[s]"),
    "record array": lambda: np.zeros(1, [("a", "u4")]),
    "array of the other byte order": lambda: np.array([1], ">u4"),
    "numpy float": lambda: np.float32(1),
    "numpy nothing": lambda: np.datetime64("NaT"),
    "enum": lambda: Direction.UPSTREAM,
    "prefix": lambda: PREFIX,
    "vrp": lambda: VRP,
    "odd vrp": lambda: Vrp(None, None, None),  # type: ignore[arg-type]
    "odd vrps": lambda: [Vrp(PREFIX, "x", 1)],  # type: ignore[arg-type]
    "vrp of big numbers": lambda: [Vrp(PREFIX, 8, 10**30)],
    "odd aspas": lambda: [Aspa("x", 5)],  # type: ignore[arg-type]
    "odd providers": lambda: [Aspa(1, (None,))],  # type: ignore[arg-type]
    "odd keys": lambda: [RouterKey(1, "x" * 20, None)],  # type: ignore[arg-type]
    "snapshot": lambda: SNAPSHOT,
    "index": lambda: INDEX,
    "columns": lambda: SNAPSHOT.ipv6,
    "delta": lambda: DELTA,
}


MESSAGE = 1000
"""Characters of a message at most, whatever was passed."""


class Case(NamedTuple):
    """A callable and arguments that it takes; each is replaced by junk in turn.

    named: arguments that are names of files, which a message has in full. also: errors that are
    promised beside RovError.
    """

    call: Callable[..., Any]
    good: dict[str, Any]
    named: tuple[str, ...] = ("path",)
    also: tuple[type[Exception], ...] = ()


def drained(answer: Any) -> Any:
    """The answer; a generator is asked for all that it has, as it checks when it is first asked."""
    return list(answer) if inspect.isgenerator(answer) else answer


def one_by_one(case: Case) -> None:
    """Each argument replaced by each kind of junk; AssertionError for any other error than a RovError.

    Its message says what was expected, or that a file cannot be read and what the system says.
    """
    for argument in case.good:
        longest = MESSAGE + (2 * len(JUNK["long text"]()) if argument in case.named else 0)
        for kind, make in JUNK.items():
            try:
                drained(case.call(**case.good | {argument: make()}))
            except case.also:
                continue
            except rov.RovError as error:
                message = str(error)
                said = "expected" in message or "cannot be" in message
                assert said, f"{argument} = {kind}: {message[:MESSAGE]}"
                assert len(message) < longest, f"{argument} = {kind}: {message[:MESSAGE]}"
            except Exception as error:
                raise AssertionError(f"{argument} = {kind}: {error!r}") from error


def all_at_once(case: Case) -> None:
    """Every argument replaced by one kind of junk after the other."""
    for kind, make in JUNK.items():
        try:
            drained(case.call(**{argument: make() for argument in case.good}))
        except (rov.RovError, *case.also):
            pass
        except Exception as error:
            raise AssertionError(f"{kind}: {error!r}") from error
