"""Sockets that systemd passes."""

import contextlib
import os
import socket
import subprocess
import sys

import pytest

from rtr_server.config.transport import Listen, Transport
from rtr_server.endpoint import Endpoint
from rtr_server.tools.dump import fetch
from rtr_server.transport import inherited
from rtr_server.transport.errors import TransportError

ACTIVATED = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, "-m", "rtr_server", "serve", "--config", sys.argv[1]])
"""


def test_sockets_from_systemd(tmp_path):
    """The daemon itself, started as systemd would: two named sockets from descriptor 3 on."""
    (tmp_path / "vrps.csv").write_text("ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,192.0.2.0/24,24,x\n")
    config = tmp_path / "config.toml"
    config.write_text(
        '[[source]]\ntype = "file"\npath = "vrps.csv"\n'
        '[[listen]]\nsystemd = "rtr"\n[[listen]]\nsystemd = "more"\n'
    )
    with contextlib.ExitStack() as stack:
        passed = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        ports = [each.getsockname()[1] for each in passed]

        def place():
            copies = [os.dup(each.fileno()) for each in passed]
            high = [os.dup2(copy, 200 + number) for number, copy in enumerate(copies)]
            for number, descriptor in enumerate(high):
                os.dup2(descriptor, 3 + number)

        log = stack.enter_context((tmp_path / "log").open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATED, str(config)],
            env={**os.environ, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "rtr:more"},
            preexec_fn=place,
            close_fds=False,
            stdout=log,
            stderr=log,
        )
        try:
            for port in ports:
                assert len(fetch(Endpoint("127.0.0.1", port), timeout=60).snapshot) == 1
        finally:
            process.terminate()
            code = process.wait(20)
    assert code == 0, (tmp_path / "log").read_text()


def test_what_systemd_passed_is_checked(monkeypatch, run, serve):
    with socket.socket() as quiet:
        monkeypatch.setattr(inherited, "FIRST_DESCRIPTOR", quiet.fileno())
        variables = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        with pytest.raises(TransportError, match=r"\(unknown\): expected ListenStream="):
            inherited.inherited_sockets(variables)
        assert variables == {}, "no child takes them for its own"
    assert inherited.inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == {}

    async def scenario():
        served = serve()
        with pytest.raises(TransportError, match="systemd:rtr: expected a socket"):
            served.server.prepare(Transport((Listen(systemd="rtr"),)))
        await served.close()

    run(scenario)
