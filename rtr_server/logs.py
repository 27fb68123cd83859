"""Logs: one line per event, as text with key=value fields or as JSON, and a bound on what peers can cause.

Where standard error is the journal of systemd, each line begins with its priority (sd-daemon(3)), so that
``journalctl -p warning`` works, and the time is left to the journal, which stamps each line by itself.

Field values may come from a peer (the text of an Error Report): whatever could break a line, or fake
one, is escaped.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

MAX_VALUE = 200
"""Characters of one field: a peer's text may be 64 KiB."""

THROTTLE_BURST = 2_000
"""Lines that peers may cause at once: some hundred routers reconnect after a restart, four lines each."""

THROTTLE_RATE = 5.0
"""Lines a second that peers may cause for ever: about 60 MB a day, which log rotation bears."""

_PLAIN = re.compile(r"[!#-<>-~]+")
"""Printable ASCII without space, quote and equals sign."""


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log an event: a few words that name it, and its fields.

    >>> event(logging.getLogger("doctest"), logging.DEBUG, "router connected", peer="[::1]:4711")
    """
    if logger.isEnabledFor(level):
        logger.log(level, "%s", name, extra={"fields": fields})


def _text(value: object) -> str:
    """One value: bare where that is unambiguous, else quoted and escaped as in JSON, all ASCII."""
    if isinstance(value, float):
        return f"{value:.3f}"
    text = str(value)
    if len(text) > MAX_VALUE:
        text = text[:MAX_VALUE] + "..."
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields of a record; an exception becomes two of them, so that it stays on the line."""
    fields: dict[str, object] = dict(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        fields["error"] = f"{type(error).__name__}: {error}"
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            fields["at"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    return fields


def _stamp(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """Time in UTC, level, event, key=value.

    >>> record = logging.LogRecord("x", logging.INFO, "", 0, "router connected", (), None)
    >>> record.created, record.msecs, record.fields = 0.0, 0.0, {"peer": "192.0.2.1:4711"}
    >>> TextFormatter().format(record)
    '1970-01-01T00:00:00.000Z INFO    router connected peer=192.0.2.1:4711'
    """

    def format(self, record: logging.LogRecord) -> str:
        message = re.sub(r"[^\x20-\x7e]", "?", record.getMessage())
        words = [_stamp(record), f"{record.levelname:<7}", message]
        words += [f"{key}={_text(value)}" for key, value in fields_of(record).items()]
        return " ".join(words)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event and the fields.

    >>> record = logging.LogRecord("x", logging.INFO, "", 0, "serving", (), None)
    >>> record.created, record.msecs, record.fields = 0.0, 0.0, {"vrps": 7}
    >>> JsonFormatter().format(record)
    '{"time": "1970-01-01T00:00:00.000Z", "level": "info", "event": "serving", "vrps": 7}'
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _stamp(record), "level": record.levelname.lower()}
        line["event"] = record.getMessage()
        for key, value in fields_of(record).items():
            plain = value is None or isinstance(value, bool | int | float)
            line[key] = value if plain else str(value)[:MAX_VALUE]
        return json.dumps(line)


class Throttle(logging.Filter):
    """Lets a burst of lines pass, then a fixed rate; the next line that passes says how many did not.

    >>> throttle = Throttle(burst=1, rate=1.0, clock=lambda: 0.0)
    >>> record = logging.LogRecord("x", logging.INFO, "", 0, "refused", (), None)
    >>> throttle.filter(record), throttle.filter(record)
    (True, False)
    """

    def __init__(
        self,
        burst: int = THROTTLE_BURST,
        rate: float = THROTTLE_RATE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._tokens = float(burst)
        self._last = clock()
        self._suppressed = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        if self._tokens < 1:
            self._suppressed += 1
            return False
        self._tokens -= 1
        if self._suppressed:
            record.fields = {**getattr(record, "fields", {}), "lines_suppressed": self._suppressed}
            self._suppressed = 0
        return True


_PRIORITIES = {
    logging.DEBUG: "<7>",
    logging.INFO: "<6>",
    logging.WARNING: "<4>",
    logging.ERROR: "<3>",
    logging.CRITICAL: "<2>",
}
"""Of syslog(3)."""


class JournalFormatter(logging.Formatter):
    """A line of another formatter behind its priority; of text, what comes after the time.

    >>> record = logging.LogRecord("x", logging.WARNING, "", 0, "router refused", (), None)
    >>> JournalFormatter(TextFormatter()).format(record)
    '<4>WARNING router refused'
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record)
        if isinstance(self._inner, TextFormatter):
            line = line.partition(" ")[2]
        return _PRIORITIES.get(record.levelno, "<6>") + line


def is_journal(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a stream goes to the journal: systemd.exec(5) names its device and inode in JOURNAL_STREAM.

    >>> is_journal(sys.stderr, {})
    False
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def configure(log_format: str, level: str) -> None:
    """Send the daemon's log to standard error, as "text" or "json", from this level on.

    >>> configure("text", "info")
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter = JsonFormatter() if log_format == "json" else TextFormatter()
    handler.setFormatter(JournalFormatter(formatter) if is_journal(sys.stderr) else formatter)
    logger = logging.getLogger("rtr_server")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
