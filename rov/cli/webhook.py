"""Alerts posted to a receiver by a thread of its own: one that does not answer holds nothing up."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

import click

SECONDS = 10.0
"""For a connection, and for each piece of an answer."""

MAX_WAITING = 100_000
"""Alerts that wait for the receiver, some 30 MB: what comes beyond that is not sent."""

AT_ONCE = 10_000
"""Alerts in one POST, so that a receiver that was away is not sent everything in one piece."""


def is_receiver(url: str) -> bool:
    """Whether this is a URL that alerts can be posted to.

    >>> is_receiver("https://alerts.example.net/rov"), is_receiver("file:///etc/passwd"), is_receiver("http://[")
    (True, False, False)
    """
    try:
        parts = urlsplit(url)
        # a port that is none is a ValueError
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and has_host
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )


class Webhook:
    """The receiver: ``give`` returns at once, ``close`` waits for what it still takes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._posts, self._refused, self._ended = 0, 0, False
        self._thread = threading.Thread(target=self._run, name="webhook", daemon=True)
        self._thread.start()

    def give(self, alerts: Sequence[bytes]) -> None:
        """Alerts as JSON, to be posted as an array."""
        with self._changed:
            room = max(0, MAX_WAITING - len(self._waiting))
            self._waiting += alerts[:room]
            if alerts[room:] and not self._refused:
                click.echo(f"rov: {self._url}: it does not take alerts as fast as they come", err=True)
            self._refused += len(alerts[room:])
            self._changed.notify()

    def close(self) -> None:
        """Wait until everything is posted, or the receiver has not answered for a while."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        while self._thread.is_alive():
            posts = self._posts
            self._thread.join(2 * SECONDS)
            if posts == self._posts and self._thread.is_alive():
                self._refused += len(self._waiting)
                click.echo(f"rov: {self._url}: alerts were not taken: no answer", err=True)
                break
        if self._refused:
            click.echo(f"rov: {self._url}: {self._refused:,} alerts were not sent", err=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    if self._ended:
                        return
                    self._changed.wait()
                alerts, self._waiting = self._waiting[:AT_ONCE], self._waiting[AT_ONCE:]
            self._post(b"[" + b",".join(alerts) + b"]")
            self._posts += 1

    def _post(self, body: bytes) -> None:
        # is_receiver has let URLs of http and https through only
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url, body, kind)  # noqa: S310
        try:
            urllib.request.urlopen(request, timeout=SECONDS).close()  # noqa: S310
        except (OSError, HTTPException, ValueError) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            click.echo(f"rov: {self._url}: alerts were not taken: {said}", err=True)
