"""What verdicts are joined with: who holds prefixes and AS numbers, what IRRs register, who is who."""

from __future__ import annotations

from rov.reference.delegated import Delegation, Delegations, read_delegated

__all__ = ["Delegation", "Delegations", "read_delegated"]
