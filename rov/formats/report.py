"""What reading a VRP file gives: the Snapshot, its format, and the rows that had to be left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from rov._rows import Rows
from rov.columns import VrpColumns
from rov.errors import ArgumentError, VrpFileError
from rov.snapshot import Snapshot

if TYPE_CHECKING:
    from rov.types import Aspa, RouterKey

MAX_REPORTED = 20
"""Bad rows described one by one; a file in which all are bad is no reason to hold a million texts."""

VRPS = "roas"
"""The list whose rows need no mention of their list: most files have no other."""


class BadRow(msgspec.Struct, frozen=True):
    """A row left out: its list in the file, its number there from 1 (CSV: its line), what is wrong.

    >>> str(BadRow("aspas", 3, "customer 0: expected 1 to 4294967295"))
    'aspas row 3: customer 0: expected 1 to 4294967295'
    """

    section: str
    row: int
    fault: str

    def __str__(self) -> str:
        return f"{self.section} row {self.row}: {self.fault}"


class ReadReport(msgspec.Struct, frozen=True):
    """A file as read: rows counts all VRP rows, bad and repeated ones too; skipped has the first bad rows.

    >>> ReadReport(Snapshot.empty(), "rpki-client JSON", 0, (), 0).skipped_count
    0
    """

    snapshot: Snapshot
    format: str
    rows: int
    skipped: tuple[BadRow, ...]
    skipped_count: int


class Intake:
    """Where a reader of one format puts what it finds; strict decides what a bad row means."""

    def __init__(self, name: str, strict: bool) -> None:
        self.name = name
        self.strict = strict
        self.rows = Rows()
        self.aspas: list[Aspa] = []
        self.aspa_expires: list[int] = []
        self.router_keys: list[RouterKey] = []
        self.router_key_expires: list[int] = []
        self.generated: int | None = None
        self.skipped: list[BadRow] = []
        self.skipped_count = 0
        self.vrp_rows = 0

    def bad(self, section: str, row: int, fault: str) -> None:
        """Leave a row out and count it; VrpFileError if strict."""
        if self.strict:
            raise VrpFileError(self.name, fault if section == VRPS else f"{section}: {fault}", row)
        self.skipped_count += 1
        # in the order of the list, of which the rows whose types do not fit are found first
        at = len(self.skipped)
        while at and self.skipped[at - 1].section == section and self.skipped[at - 1].row > row:
            at -= 1
        if at < MAX_REPORTED:
            self.skipped.insert(at, BadRow(section, row, fault))
            del self.skipped[MAX_REPORTED:]

    def report(self, form: str) -> ReadReport:
        """All of it as a Snapshot, with its format and what was left out."""
        try:
            snapshot = Snapshot.build(
                VrpColumns.ipv4(*self.rows.ipv4()),
                VrpColumns.ipv6(*self.rows.ipv6()),
                aspas=self.aspas,
                aspa_expires=self.aspa_expires,
                router_keys=self.router_keys,
                router_key_expires=self.router_key_expires,
                trust_anchors=self.rows.trust_anchors,
                generated=self.generated,
            )
        except ArgumentError as error:
            raise VrpFileError(self.name, str(error)) from error
        return ReadReport(snapshot, form, self.vrp_rows, tuple(self.skipped), self.skipped_count)
