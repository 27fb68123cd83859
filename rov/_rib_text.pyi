from typing import TypeAlias, final

from rov._mrt_peers import Peers

_Columns: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]

FAULTS: tuple[str, ...]

@final
class LineParser:
    def __new__(
        cls,
        peers: Peers,
        separator: int,
        fields: tuple[int, int, int, int, int, int, int, int],
        more: int = 0,
    ) -> LineParser: ...
    @property
    def lines(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def bad(self) -> int: ...
    @property
    def named(self) -> list[tuple[int, int, bytes]]: ...
    def parse(self, data: bytes | bytearray | memoryview) -> None: ...
    def take(self) -> tuple[_Columns, _Columns]: ...
