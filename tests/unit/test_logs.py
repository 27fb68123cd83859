"""Logs: one line per event whatever is in it, and not more lines than the throttle allows."""

import json
import logging

import pytest

from rtr_server.logs import JsonFormatter, TextFormatter, Throttle


def record(name="error received", **fields):
    made = logging.LogRecord("x", logging.INFO, "", 0, name, (), None)
    made.fields = fields
    return made


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize(
    "text", ["two words", 'a "quote"', "x=y", "\n2026 INFO fake", "\x1b[2J", "\u2028", ""]
)
def test_hostile_text_stays_on_its_line_and_in_its_field(formatter, text):
    line = formatter.format(record(text=text, code=3))
    assert line.isascii()
    assert line.isprintable()
    quoted = line.partition("text" + ("=" if formatter.__class__ is TextFormatter else '": '))[2]
    assert json.JSONDecoder().raw_decode(quoted)[0] == text


def test_long_text_is_cut():
    assert len(TextFormatter().format(record(text="x" * 60_000))) < 300


def test_an_exception_is_two_fields_of_one_line():
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        made = record()
        made.exc_info = (ValueError, error, error.__traceback__)
    line = TextFormatter().format(made)
    assert "\n" not in line
    assert r'error="ValueError: first\nsecond"' in line
    assert "test_logs.py" in line


def test_the_throttle_lets_a_burst_pass_then_a_rate_and_says_what_is_missing():
    now = 0.0
    throttle = Throttle(burst=3, rate=2.0, clock=lambda: now)
    assert [throttle.filter(record()) for _ in range(10)] == [True] * 3 + [False] * 7
    now = 0.5
    told = record(code=1)
    assert throttle.filter(told)
    assert told.fields == {"code": 1, "lines_suppressed": 7}
    assert not throttle.filter(record())
    now = 1000.0
    assert [throttle.filter(record()) for _ in range(4)] == [True] * 3 + [False]
