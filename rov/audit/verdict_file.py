"""A file of verdicts that is written in a thread while the dump is still read."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from rov.audit.output import format_of, write_tables
from rov.audit.schemas import VERDICTS
from rov.audit.tables import verdict_table
from rov.audit.verdicts import judge
from rov.index import VrpIndex
from rov.rib import RouteColumns, RouteTable

if TYPE_CHECKING:
    import pyarrow as pa


class _VoidError(Exception):
    """What was written so far is void."""


class _ClosedError(Exception):
    """There will be no file."""


class VerdictFile:
    """The rows of ``verdict_table`` as a file; its ``take`` is what read_table wants for ``settled``.

    The thread judges what it is given by ``index`` and writes routes that at least ``min_peers`` peers
    carry. ``end`` gives the file its name; a block that is left without it leaves no file. What waits is
    never more than the table itself. ArgumentError: no known format.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from rov import Snapshot
    >>> name = str(Path(tempfile.mkdtemp(), "x.csv"))
    >>> with VerdictFile(name, VrpIndex(Snapshot.empty())) as file:
    ...     file.take(RouteColumns(4, [0xC0000200], [24], [64496], [3]))
    ...     file.end({})
    >>> Path(name).read_text()
    'prefix,origin,state,reason,peers\\n192.0.2.0/24,64496,not_found,not_covered,3\\n'
    """

    def __init__(self, path: str, index: VrpIndex, min_peers: int = 1) -> None:
        format_of(path)
        self._path = path
        self._index = index
        self._min_peers = min_peers
        self._given: SimpleQueue[RouteColumns | Mapping[str, Any] | Exception] = SimpleQueue()
        self._facts: Mapping[str, Any] = {}
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="rov-verdicts", daemon=True)
        self._thread.start()

    def take(self, routes: RouteColumns | None) -> None:
        """The next routes, or None: those so far are void."""
        self._given.put(_VoidError() if routes is None else routes)

    def end(self, facts: Mapping[str, Any]) -> None:
        """Wait until the file is there; ``facts`` as in write_table. OSError: it cannot be written."""
        self._given.put(facts)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._given.put(_ClosedError())
        self._thread.join()

    def _write(self) -> None:
        try:
            while True:
                try:
                    return write_tables(self._tables(), self._path, VERDICTS.name, lambda: self._facts)
                except _VoidError:
                    continue
        except _ClosedError:
            return None
        except BaseException as error:
            self._error = error

    def _tables(self) -> Iterator[pa.Table]:
        written = False
        while True:
            given = self._given.get()
            if isinstance(given, Exception):
                raise given
            if isinstance(given, RouteColumns):
                yield self._rows(given)
                written = True
                continue
            self._facts = given
            if not written:
                yield self._rows(RouteColumns.empty(4))
            return

    def _rows(self, routes: RouteColumns) -> pa.Table:
        ipv4, ipv6 = (routes if routes.family == family else RouteColumns.empty(family) for family in (4, 6))
        return verdict_table(judge(RouteTable(ipv4, ipv6), self._index, min_peers=self._min_peers))
