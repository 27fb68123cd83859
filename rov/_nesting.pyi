from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_U1: TypeAlias = npt.NDArray[np.uint8]
_U4: TypeAlias = npt.NDArray[np.uint32]
_U8: TypeAlias = npt.NDArray[np.uint64]
_I8: TypeAlias = npt.NDArray[np.int64]

def nest(high: _U8, low: _U8, lengths: _U1, eligible: _U1) -> tuple[_I8, npt.NDArray[np.float64]]: ...
def ranges(
    keys: _U4,
    high: _U8,
    low: _U8,
    lengths: _U1,
    asked_keys: _U4,
    asked_high: _U8,
    asked_low: _U8,
    asked_lengths: _U1,
) -> tuple[_I8, _I8]: ...
def count_upto(first: _I8, end: _I8, lengths: _U1, most: _U1) -> _I8: ...
def cover_max(keys: _U4, high: _U8, low: _U8, lengths: _U1, values: _U1) -> _I8: ...
def first_gap(
    first: _I8,
    end: _I8,
    high: _U8,
    low: _U8,
    lengths: _U1,
    asked_high: _U8,
    asked_low: _U8,
    asked_lengths: _U1,
    wanted: _U1,
) -> tuple[_U8, _U8, _U1]: ...
