from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from rov._trie import Trie
from rov.types import Family, PrefixLike, State

@disjoint_base
class Lookup:
    @property
    def _ipv4(self) -> Trie: ...
    @property
    def _ipv6(self) -> Trie: ...
    def __new__(cls, ipv4: Trie, ipv6: Trie) -> Self: ...
    def validate(self, prefix: PrefixLike, asn: int, family: Family | None = None) -> State: ...
    def validate_many(
        self,
        prefixes: Sequence[PrefixLike] | npt.NDArray[Any],
        origins: Sequence[int] | npt.NDArray[Any],
        family: Family | None = None,
    ) -> npt.NDArray[np.uint8]: ...
    def covering_keys(
        self, prefix: PrefixLike, family: Family | None = None
    ) -> tuple[Family, int, list[tuple[int, int, int]]]: ...
