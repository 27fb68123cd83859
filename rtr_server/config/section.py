"""What all sections of the configuration are: frozen structs that know every key they may have."""

from __future__ import annotations

import msgspec


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the configuration; subclasses repeat ``frozen=True`` and give each key a docstring.

    >>> Section() == Section()
    True
    """
