from enum import IntEnum

import numpy as np
import numpy.typing as npt

class Field(IntEnum):
    NOTHING = 0
    PREFIX = 1
    ASN = 2
    MAX_LENGTH = 3
    TRUST_ANCHOR = 4
    EXPIRES = 5
    LONGER_MAX_LENGTH = 6
    STATED_EXPIRES = 7
    EXPIRES_DATE = 8
    FAMILY_DIGIT = 9
    STATED_ISO_TIME = 10
    STATED = 11

def lines(
    family: int,
    address4: npt.NDArray[np.uint32],
    address6: npt.NDArray[np.uint64],
    length: npt.NDArray[np.uint8],
    max_length: npt.NDArray[np.uint8],
    asn: npt.NDArray[np.uint32],
    expires: npt.NDArray[np.int64],
    ta: npt.NDArray[np.uint8],
    template: tuple[tuple[bytes, int], ...],
    names: tuple[bytes, ...],
    separator: bytes,
) -> bytes: ...
