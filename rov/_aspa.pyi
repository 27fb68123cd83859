from typing import TypeAlias, final

import numpy as np
import numpy.typing as npt

_U1: TypeAlias = npt.NDArray[np.uint8]
_U4: TypeAlias = npt.NDArray[np.uint32]
_I8: TypeAlias = npt.NDArray[np.int64]

@final
class Attestations:
    def __new__(cls, buckets: _U4, customers: _U4, starts: _I8, providers: _U4) -> Attestations: ...
    def hop(self, customer: int, provider: int) -> int: ...
    def ramps(self, path: _U4) -> tuple[int, int, int, int]: ...
    def verify(self, path: _U4, neighbor: int, as_set: bool, direction: int) -> int: ...
    def verify_columns(
        self, asns: _U4, offsets: _I8, neighbors: _U4, as_sets: _U1, directions: _U1, out: _U1
    ) -> None: ...

def first_bad_offset(offsets: _I8, size: int) -> int: ...
