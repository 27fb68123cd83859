from typing import Any, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt

_U1: TypeAlias = npt.NDArray[np.uint8]

LAYOUTS: dict[str, int]

@final
class TextColumn:
    def __new__(
        cls, layout: int, count: int, offset: int, validity: _U1 | None, index: _U1, data: list[_U1]
    ) -> Self: ...
    def __len__(self) -> int: ...

@final
class Routes:
    def __new__(cls, room: int) -> Self: ...
    def ipv4(self) -> tuple[npt.NDArray[np.uint32], _U1, npt.NDArray[np.uint32], _U1]: ...
    def ipv6(self) -> tuple[npt.NDArray[np.uint64], _U1, npt.NDArray[np.uint32], _U1]: ...
    def fill(
        self,
        texts: TextColumn,
        codes: npt.NDArray[np.int64] | None,
        first: int,
        origins: npt.NDArray[np.uint32],
        known: _U1,
        strict: bool,
    ) -> tuple[int, Exception] | None: ...
    def scatter(self, reasons: _U1) -> None: ...

def format_column(
    family: int, addresses: npt.NDArray[Any], lengths: _U1
) -> tuple[npt.NDArray[np.int32], _U1]: ...
