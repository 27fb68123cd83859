"""What a session has to send: a queue of views, most of them of a buffer that many sessions share."""

from __future__ import annotations

from collections import deque


class Outbox:
    """Octets in order of sending; holds positions, not copies. True while something is pending.

    >>> outbox = Outbox()
    >>> outbox.put(b"abc", b"de")
    >>> bytes(outbox.head(2)), outbox.octets
    (b'ab', 5)
    >>> outbox.drop(4)
    >>> bytes(outbox.head(2))
    b'e'
    """

    def __init__(self) -> None:
        self._parts: deque[memoryview] = deque()

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def octets(self) -> int:
        """How many octets are pending."""
        return sum(len(part) for part in self._parts)

    def put(self, *parts: bytes | memoryview) -> None:
        """Add to the end."""
        self._parts.extend(memoryview(part) for part in parts if part)

    def head(self, most: int) -> memoryview | None:
        """Up to most octets of what is next, from one part; None if nothing is pending."""
        return self._parts[0][:most] if self._parts else None

    def drop(self, count: int) -> None:
        """Forget the first count octets; ValueError if there are fewer."""
        while count:
            if not self._parts:
                raise ValueError(f"{count} octets sent that were never given out")
            head = self._parts[0]
            if count < len(head):
                self._parts[0] = head[count:]
                return
            count -= len(self._parts.popleft())

    def clear(self) -> None:
        """Forget everything."""
        self._parts.clear()
