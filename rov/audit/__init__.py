"""What a table of routes tells, given the VRPs: verdicts, and the questions that operators ask of them."""

from __future__ import annotations

from rov.audit.coverage import coverage_table
from rov.audit.impact import Impact, impact, impact_table
from rov.audit.tables import verdict_table
from rov.audit.verdicts import Judged, Verdicts, judge

__all__ = [
    "Impact",
    "Judged",
    "Verdicts",
    "coverage_table",
    "impact",
    "impact_table",
    "judge",
    "verdict_table",
]
