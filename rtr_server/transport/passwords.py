"""Passwords of routers that log in by SSH without a key: a file of hashes, made and checked by scrypt."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

from rtr_server.transport.errors import TransportError

SCRYPT = (1 << 15, 8, 3)
"""n, r, p: 32 MB and some tenths of a second for each guess, as OWASP advises for scrypt."""

MAX_COST = 256 << 20
"""Octets that a line of the file may make us use."""

SALT_OCTETS = 16
KEY_OCTETS = 32

MAX_FILE = 1 << 20

MAX_PASSWORD = 1_024
"""Characters: longer ones are not worth hashing."""


def hash_password(user: str, password: str, salt: bytes | None = None) -> str:
    """A line for the file: USER:scrypt:N:R:P:SALT:KEY, the last two in hexadecimal digits.

    >>> hash_password("r1", "secret", bytes(16))[:40]
    'r1:scrypt:32768:8:3:00000000000000000000'
    """
    chosen = secrets.token_bytes(SALT_OCTETS) if salt is None else salt
    n, r, p = SCRYPT
    return f"{user}:scrypt:{n}:{r}:{p}:{chosen.hex()}:{_derive(password, chosen, n, r, p).hex()}"


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=MAX_COST + (1 << 20), dklen=KEY_OCTETS
    )


class Passwords:
    """The users of a password file; TransportError names the line that is wrong.

    ``check`` takes some tenths of a second, so call it in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._users: dict[str, tuple[int, int, int, bytes, bytes]] = {}
        try:
            with path.open("rb") as file:
                text = file.read(MAX_FILE + 1).decode()
        except OSError as error:
            raise TransportError(f"{path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise TransportError(f"{path}: offset {error.start}: expected UTF-8") from error
        if len(text) > MAX_FILE:
            raise TransportError(f"{path}: expected at most {MAX_FILE} octets")
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                self._add(line.strip(), f"{path}: line {number}")

    def _add(self, line: str, where: str) -> None:
        try:
            user, kind, n, r, p, salt, key = line.split(":")
            costs = int(n), int(r), int(p)
            stored = (*costs, bytes.fromhex(salt), bytes.fromhex(key))
        except ValueError as error:
            raise TransportError(f"{where}: expected USER:scrypt:N:R:P:SALT:KEY") from error
        fits = costs[0] > 1 and not costs[0] & (costs[0] - 1) and 128 * costs[0] * costs[1] <= MAX_COST
        if kind != "scrypt" or not user or min(costs) < 1 or costs[2] > 16 or not fits:
            raise TransportError(f"{where}: expected what rtr-server hash-password writes")
        if user in self._users:
            raise TransportError(f"{where}: user {user!r} is there twice")
        if len(stored[4]) != KEY_OCTETS:
            raise TransportError(f"{where}: a key of {len(stored[4])} octets: expected {KEY_OCTETS}")
        self._users[user] = stored

    def check(self, user: str, password: str) -> bool:
        """Whether the password is right; it takes as long for a user that is not there."""
        if len(password) > MAX_PASSWORD:
            return False
        n, r, p, salt, key = self._users.get(user, (*SCRYPT, bytes(SALT_OCTETS), b""))
        return hmac.compare_digest(_derive(password, salt, n, r, p), key)
