import numpy as np
import numpy.typing as npt

_I4 = npt.NDArray[np.int32]
_U1 = npt.NDArray[np.uint8]
_U4 = npt.NDArray[np.uint32]

def read_rows(
    data: bytes | bytearray | memoryview | _U1, begin: int, end: int, packed: bool
) -> tuple[int, bool, _I4, _U1, _U4]: ...
def write_rows(
    offsets: _I4, text: _U1, origins: _U4, reasons: _U1, tails: tuple[bytes, ...], packed: bool
) -> bytes: ...
