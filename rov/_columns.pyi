from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_U1: TypeAlias = npt.NDArray[np.uint8]
_U4: TypeAlias = npt.NDArray[np.uint32]
_U8: TypeAlias = npt.NDArray[np.uint64]
_Marks: TypeAlias = tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.int64]]

def in_order_ipv4(address: _U4, length: _U1, max_length: _U1, asn: _U4) -> bool: ...
def in_order_ipv6(address: _U8, length: _U1, max_length: _U1, asn: _U4) -> bool: ...
def common_ipv4(
    address_a: _U4,
    length_a: _U1,
    max_length_a: _U1,
    asn_a: _U4,
    address_b: _U4,
    length_b: _U1,
    max_length_b: _U1,
    asn_b: _U4,
) -> _Marks: ...
def common_ipv6(
    address_a: _U8,
    length_a: _U1,
    max_length_a: _U1,
    asn_a: _U4,
    address_b: _U8,
    length_b: _U1,
    max_length_b: _U1,
    asn_b: _U4,
) -> _Marks: ...
