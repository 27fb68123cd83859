"""What is kept of large answers, and that work in a thread does not keep the event loop waiting."""

import asyncio
import sys
import time

import pytest

from rtr_server.threads import in_thread
from rtr_server.web import answers
from rtr_server.web.answers import Entry, Kitchen


@pytest.fixture
def made():
    """Make the answers of these names in turn; which of them had to be made."""
    kitchen, cooked = Kitchen(heavy=1, room=100), []

    def make(entry, octets):
        cooked.append(entry)
        yield bytes(octets)

    async def ask(*entries, octets):
        for entry in entries:
            assert len(await kitchen.get(entry, lambda entry=entry: make(entry, octets))) == octets

    def run(*entries, octets=1):
        cooked.clear()
        asyncio.run(ask(*entries, octets=octets))
        return list(cooked)

    return run


def entries(*numbers, generation=1):
    return [Entry(generation, number, "") for number in numbers]


def test_no_more_octets_are_kept_than_there_is_room_for(made):
    assert made(*entries(1, 2, 3), octets=40) == entries(1, 2, 3)
    assert made(*entries(3, 2, 1), octets=40) == entries(1)


def test_no_more_answers_are_kept_however_small(made, monkeypatch):
    monkeypatch.setattr(answers, "MAX_KEPT", 3)
    assert made(*entries(1, 2, 3, 1, 4)) == entries(1, 2, 3, 4)
    assert made(*entries(1, 3, 4, 2)) == entries(2)


def test_answers_of_an_older_set_are_forgotten_and_not_kept_any_more(made):
    made(*entries(1))
    newer = entries(1, generation=2)
    assert made(*newer, *entries(1), *newer) == [*newer, *entries(1)]


def test_the_loop_goes_on_before_the_thread_does():
    """A thread that has just begun must not have the interpreter before the loop gives it up."""
    began = []

    async def start():
        work = asyncio.ensure_future(in_thread(lambda: began.append(time.perf_counter())))
        await asyncio.sleep(0)  # the thread has been started
        went_on = time.perf_counter()
        await work
        return went_on

    interval = sys.getswitchinterval()
    sys.setswitchinterval(5.0)  # nobody takes the interpreter away
    try:
        assert asyncio.run(start()) < began[0]
    finally:
        sys.setswitchinterval(interval)
