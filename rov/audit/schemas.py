"""Names and versions of the tables; the columns of each stand in docs/audit.md, which a test compares.

The number grows when a column goes or changes its name, type or meaning. A new column at the end is no
change: who reads must not depend on how many there are.
"""

from __future__ import annotations

from typing import NamedTuple


class Schema(NamedTuple):
    """A table by its name and version, as files state it, and the function that makes it.

    >>> VERDICTS.name
    'rov.audit.verdicts/1'
    """

    name: str
    function: str


VERDICTS = Schema("rov.audit.verdicts/1", "verdict_table")
IMPACT = Schema("rov.audit.impact/1", "impact_table")
COVERAGE = Schema("rov.audit.coverage/1", "coverage_table")
HYGIENE = Schema("rov.audit.hygiene/1", "hygiene_table")
