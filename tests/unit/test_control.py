"""The control socket: lines, the table of commands, a real unix socket with clients of every sort."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from rtr_server.control import server as shell
from rtr_server.control.client import ControlClient, ask
from rtr_server.control.codec import (
    MAX_REQUEST,
    Answer,
    ControlError,
    Lines,
    Request,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from rtr_server.control.commands import Command, Commands
from rtr_server.control.server import ControlServer, ControlSocketError
from rtr_server.threads import in_thread


@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_come_out_as_they_went_in_however_they_are_cut(lines, data):
    octets = b"".join(line + b"\n" for line in lines) + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    found, reader = [], Lines(100)
    for begin, end in zip([0, *cuts], [*cuts, len(octets)], strict=True):
        found += reader.receive_data(octets[begin:end])
    assert found == lines
    assert reader.partial


@pytest.mark.parametrize("octets", [b"x" * 101, b"x" * 101 + b"\n", b"\n" + b"x" * 101])
def test_a_long_line_is_refused(octets):
    with pytest.raises(ControlError, match="longer than 100 octets"):
        Lines(100).receive_data(octets)


@given(st.text(), st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_requests_and_answers_survive_the_line(command, arguments):
    request = Request(command, {key: value for key, value in arguments.items() if value != 1 << 70})
    if all(not isinstance(value, int) or -(2**63) <= value < 2**64 for value in arguments.values()):
        assert decode_request(encode_request(request)[:-1]) == request
        answer = Answer(ok=False, result=request.arguments, error=command)
        assert decode_answer(encode_answer(answer)[:-1]) == answer


@given(st.binary())
def test_no_line_does_more_than_raise_control_error(line):
    for decode in (decode_request, decode_answer):
        with contextlib.suppress(ControlError):
            decode(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"", "no request"),
        (b"[" * 10_000, "no request"),
        (b"\xff", "no request"),
        (b"{}", "missing required field `command`"),
        (b'{"command": 5}', "Expected `str`"),
        (b'{"command": "x", "v": 2}', "version 2: expected 1"),
    ],
)
def test_what_is_no_request(line, expected):
    with pytest.raises(ControlError, match=expected):
        decode_request(line)


def table():
    async def slow(text="x"):
        await asyncio.sleep(0)
        return text

    def broken():
        raise RuntimeError("a fault of ours")

    def refused(why):
        raise ControlError(why)

    return Commands(
        [
            Command("slow", slow),
            Command("broken", broken),
            Command("refused", refused, changes=True),
            Command("unwritable", lambda: object()),
        ]
    )


def test_a_name_is_offered_once():
    with pytest.raises(ValueError, match="'slow' is there already"):
        table().add([Command("slow", print)])


def serving(scenario, path, **options):
    """Run the server on uvloop and the scenario beside it."""

    async def main():
        server = ControlServer(table())
        await server.open(path, **options)
        try:
            await asyncio.wait_for(scenario(server), 20)
        finally:
            await server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.sock"


def test_ask_and_be_answered(path, caplog):
    caplog.set_level(logging.INFO, "rtr_server")

    def asking():
        assert ask(path, "slow", text="é\n") == "é\n"
        with ControlClient(path) as client:
            assert client.ask("slow") == "x"
            for command, arguments, expected in (
                ("none", {}, "unknown command 'none': expected broken, refused, slow, unwritable"),
                ("refused", {"uid": 7, "level": 7}, "arguments: missing a required argument: 'why'"),
                ("slow", {"wrong": 1}, "arguments: got an unexpected keyword argument 'wrong'"),
                ("refused", {}, "arguments: missing a required argument: 'why'"),
                ("refused", {"why": "not today"}, "not today"),
                ("broken", {}, "internal error: RuntimeError"),
                ("unwritable", {}, "internal error: the answer cannot be encoded"),
            ):
                with pytest.raises(ControlError) as caught:
                    client.ask(command, **arguments)
                assert str(caught.value) == expected
            assert client.ask("slow") == "x"

    async def scenario(server):
        assert server.path == path
        await in_thread(asking)

    serving(scenario, path)
    assert not path.exists()
    (record, *_) = [record for record in caplog.records if record.getMessage() == "control command"]
    assert record.fields == {"command": "refused", "level": 7, "uid": os.getuid(), "pid": os.getpid()}


def test_only_the_owner_unless_told_otherwise(path):
    async def private(_):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def shared(_):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660

    serving(private, path)
    serving(shared, path, mode=0o660)


def raw(path, octets, *, read=True):
    """What comes back for these octets until the server closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b"")) if read else b""


def test_bad_clients_harm_nobody(path):
    def asking():
        assert json.loads(raw(path, b"garbage\n"))["error"].startswith("no request")
        assert json.loads(raw(path, b"x" * (MAX_REQUEST + 1)))["error"].startswith("line longer than")
        assert raw(path, b'{"command": "slow"') == b""
        raw(path, b'{"command": "slow"}\n' * 1_000, read=False)
        several = raw(path, b'{"command": "slow"}\n{"command": "slow"}\n').splitlines()
        assert [json.loads(line)["result"] for line in several] == ["x", "x"]

    async def scenario(_):
        await in_thread(asking)

    serving(scenario, path)


def test_clients_are_limited_and_idle_ones_go(path, monkeypatch):
    monkeypatch.setattr(shell, "IDLE", 0.2)

    def asking():
        idle = [socket.socket(socket.AF_UNIX) for _ in range(shell.MAX_CLIENTS)]
        for connection in idle:
            connection.settimeout(10)
            connection.connect(str(path))
        assert raw(path, b"") == b""
        for connection in idle:
            assert connection.recv(1) == b""
            connection.close()
        assert ask(path, "slow") == "x"

    async def scenario(_):
        await in_thread(asking)

    serving(scenario, path)


def test_a_client_that_does_not_read_is_dropped(path, monkeypatch):
    monkeypatch.setattr(shell, "WRITE_TIMEOUT", 0.2)

    async def scenario(server):
        server._commands.add([Command("much", lambda: "x" * 50_000_000)])
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 10)
        writer.write(b'{"command": "much"}\n')
        async with asyncio.timeout(10):
            while not server._clients:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while server._clients:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        writer.close()
        assert await in_thread(lambda: ask(path, "slow")) == "x"
        del reader

    serving(scenario, path)


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def scenario(_):
        with pytest.raises(ControlSocketError, match="another daemon serves it"):
            await ControlServer(Commands()).open(path)
        assert await in_thread(lambda: ask(path, "slow")) == "x"

    serving(scenario, path)
    path.write_text("a file")
    with pytest.raises(ControlSocketError, match="a file that is no socket"):
        serving(scenario, path)
    assert path.read_text() == "a file"


def test_where_no_socket_can_be(tmp_path):
    async def never(_):
        raise AssertionError("it started")

    with pytest.raises(ControlSocketError, match="No such file or directory"):
        serving(never, tmp_path / "none" / "c.sock")
    with pytest.raises(ControlSocketError, match="no such group: nogroup9"):
        serving(never, tmp_path / "c.sock", group="nogroup9")


def test_what_the_client_says_when_nobody_is_there(path):
    with pytest.raises(ControlError, match=r"c\.sock: no such socket; is the daemon running"):
        ask(path, "status")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(ControlError, match="nobody listens there"):
        ask(path, "status")


def test_a_daemon_that_goes_or_is_silent(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with ControlClient(path, timeout=0.1) as client, pytest.raises(ControlError, match="no answer"):
            client.ask("status")
        listener.accept()[0].close()
        with ControlClient(path) as client:
            listener.accept()[0].close()
            with pytest.raises(ControlError):
                client.ask("status")
