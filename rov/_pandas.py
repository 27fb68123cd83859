"""pandas in the processes of our commands: none needs it, and to import it takes longer than their work.

pyarrow imports pandas, where it is installed, as soon as it makes an array, to see whether it was given some:
half a second and 40 MB, and in a daemon 38,000 objects more for each garbage collection to go through. In the
process of somebody else, who may want ``to_pandas``, nothing of this is done.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "pandas"


class _Refusal:
    """A finder of modules, asked before all others, to which there is no pandas.

    None in ``sys.modules`` would say the same, but extensions made by Cython take it for the module.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == NAME:
            raise ModuleNotFoundError("pandas is kept out of this process", name=name)
        return None


def keep_out() -> None:
    """To this process pandas is not installed, unless it has been imported already.

    >>> keep_out()
    >>> let_in()
    """
    if _Refusal not in sys.meta_path:
        sys.meta_path.insert(0, _Refusal)


def let_in() -> None:
    """Take that back.

    >>> let_in()
    """
    if _Refusal in sys.meta_path:
        sys.meta_path.remove(_Refusal)
