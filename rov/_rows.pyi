from collections.abc import Callable
from typing import Any, final

import numpy as np
import numpy.typing as npt

from rov._texts import TextColumn

ABSENT_NUMBER: int

def asn_of(value: object) -> int | None: ...

@final
class Rows:
    def add(
        self, asn: object, prefix: object, max_length: object, ta: str | None, expires: object
    ) -> str | None: ...
    def extend(
        self,
        rows: list[Any],
        provenance: Callable[[Any], tuple[str | None, int | None]],
        report: Callable[[int, str], None],
    ) -> None: ...
    def trust_anchor(self, name: str) -> int | None: ...
    def extend_columns(
        self,
        prefixes: TextColumn,
        codes: npt.NDArray[np.int64] | None,
        asn: npt.NDArray[np.int64],
        max_length: npt.NDArray[np.int64],
        ta: npt.NDArray[np.int64],
        expires: npt.NDArray[np.int64],
        taken: npt.NDArray[np.uint8],
    ) -> None: ...
    def ipv4(
        self,
    ) -> tuple[
        npt.NDArray[np.uint32],
        npt.NDArray[np.uint8],
        npt.NDArray[np.uint8],
        npt.NDArray[np.uint32],
        npt.NDArray[np.int64],
        npt.NDArray[np.uint8],
    ]: ...
    def ipv6(
        self,
    ) -> tuple[
        npt.NDArray[np.uint64],
        npt.NDArray[np.uint8],
        npt.NDArray[np.uint8],
        npt.NDArray[np.uint32],
        npt.NDArray[np.int64],
        npt.NDArray[np.uint8],
    ]: ...
    @property
    def trust_anchors(self) -> tuple[str, ...]: ...
    def __len__(self) -> int: ...
