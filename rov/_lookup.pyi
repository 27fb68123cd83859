from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from rov._trie import Trie
from rov.types import Prefix, State

@disjoint_base
class Lookup:
    @property
    def _ipv4(self) -> Trie: ...
    @property
    def _ipv6(self) -> Trie: ...
    def __new__(cls, ipv4: Trie, ipv6: Trie) -> Self: ...
    def validate(self, prefix: str | Prefix, asn: int) -> State: ...
    def validate_many(
        self, prefixes: Sequence[str | Prefix] | npt.NDArray[Any], origins: Sequence[int] | npt.NDArray[Any]
    ) -> npt.NDArray[np.uint8]: ...
    def covering_keys(self, prefix: str | Prefix) -> tuple[int, int, int, list[tuple[int, int, int]]]: ...
