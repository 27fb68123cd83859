"""The commands as a user runs them: processes, exit codes, signals, what is printed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import rov

COMMAND = [sys.executable, "-m", "rtr_server"]
HEADER = "ASN,IP Prefix,Max Length,Trust Anchor\n"
ROWS = HEADER + "AS64496,192.0.2.0/24,24,x\nAS64497,2001:db8::/32,48,x\n"


def command(*arguments, **options):
    """Run to the end; what it printed and its exit code."""
    options = {"capture_output": True, "text": True, "timeout": 60, "check": False, **options}
    return subprocess.run([*COMMAND, *map(str, arguments)], **options)


def csv(stdout):
    return sorted(stdout.splitlines()[1:])


@pytest.fixture
def vrps(tmp_path):
    path = tmp_path / "vrps.csv"
    path.write_text(ROWS)
    return path


@pytest.fixture
def serve(free_port, tmp_path):
    """Start a server and wait until it says what it serves; it is ended after the test."""
    running = []

    def start(*arguments, lines=4):
        where = f"127.0.0.1:{free_port()}"
        log = tmp_path / f"log{len(running)}"
        with log.open("w") as stderr:
            server = subprocess.Popen(
                [*COMMAND, "serve", *map(str, arguments), "--listen", where],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        running.append(server)
        server.where, server.log = where, log
        server.banner = [server.stdout.readline() for _ in range(lines)]
        assert server.banner[0], log.read_text()
        return server

    yield start
    for server in running:
        server.kill()
        server.wait()
        server.stdout.close()


def until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen within ten seconds")


def test_serve_and_dump(serve, vrps, tmp_path):
    server = serve("--vrps", vrps)
    assert f"Serving 2 VRPs, 0 ASPAs, 0 router keys from {vrps}" in server.banner[0]
    assert server.where in server.banner[1]
    assert f"rtr-server dump {server.where}" in server.banner[2]
    assert "BIRD" in server.banner[3]
    for version in (0, 1, 2):
        dumped = command("dump", server.where, "--rtr-version", version)
        assert dumped.returncode == 0
        assert csv(dumped.stdout) == csv(ROWS.replace(",x", ",rtr"))
        assert dumped.stderr.startswith("2 VRPs (1 IPv4, 1 IPv6)")
        assert f"RTR version {version}," in dumped.stderr
    for form in ("csv", "json"):
        out = tmp_path / f"dump.{form}"
        assert command("dump", server.where, "--format", form, "--output", out).stdout == ""
        assert rov.read(out) == rov.read(vrps)
    assert not list(tmp_path.glob(".dump*"))


def test_a_new_file_is_a_new_serial(serve, vrps):
    server = serve("--vrps", vrps)
    fresh = vrps.with_suffix(".new")
    fresh.write_text(ROWS + "AS64498,10.0.0.0/8,8,x\n")
    fresh.replace(vrps)
    until(lambda: "announced=+1 withdrawn=-0" in server.log.read_text())
    assert len(csv(command("dump", server.where).stdout)) == 3


def test_half_a_file_is_refused_and_said_so(serve, vrps):
    server = serve("--vrps", vrps)
    vrps.write_text(ROWS[:-9])
    until(lambda: "set refused, the last one stays" in server.log.read_text())
    assert "row 3" in server.log.read_text()
    assert len(csv(command("dump", server.where).stdout)) == 2


def test_sighup_reads_the_file_again(serve, vrps):
    server = serve("--vrps", vrps, "-v")
    server.send_signal(signal.SIGHUP)
    until(lambda: "set loaded: nothing changed" in server.log.read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_signals_end_it_cleanly(serve, vrps, number):
    server = serve("--vrps", vrps)
    server.send_signal(number)
    assert server.wait(10) == 0
    reason = "restart" if number == signal.SIGUSR2 else "shutdown"
    assert f"ending reason={reason}" in server.log.read_text()


def test_json_log(serve, vrps):
    server = serve("--vrps", vrps, "--log-format", "json")
    command("dump", server.where)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    by_event = {line["event"]: line for line in lines}
    assert by_event["set loaded"]["vrps"] == 2
    assert by_event["router synchronized"]["kind"] == "full"


def test_synthetic_data_are_labelled(serve):
    server = serve("--synthetic", "--count", 1000, "--seed", 7)
    assert "WARNING SYNTHETIC DATA" in server.log.read_text()
    assert "synthetic" in server.banner[0]
    first = command("dump", server.where).stdout
    assert 900 <= len(csv(first)) <= 1100


def test_a_url_that_is_down_is_waited_for(serve, free_port):
    server = serve("--vrps", f"http://127.0.0.1:{free_port()}/vrps.json")
    assert "Serving nothing yet" in server.banner[0]
    assert "no data yet" in server.log.read_text()
    ended = command("dump", server.where, "--timeout", 0.5)
    assert ended.returncode == 2
    assert "no full set within the timeout" in ended.stderr


def failing(*arguments):
    """A command that must fail with one line; that line."""
    ended = command(*arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return line


def test_port_in_use(serve, vrps):
    server = serve("--vrps", vrps)
    line = failing("serve", "--vrps", vrps, "--listen", server.where)
    assert line == (
        f"rtr-server: cannot listen on {server.where}: the port is in use (--listen ADDR:PORT picks another)"
    )


def test_missing_file(tmp_path, free_port):
    line = failing("serve", "--vrps", tmp_path / "none.json", "--listen", f"127.0.0.1:{free_port()}")
    assert "none.json" in line
    assert "No such file" in line


def test_expired_set(tmp_path, free_port, serve):
    path = tmp_path / "old.json"
    path.write_text('{"roas": [{"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "expires": 5}]}')
    line = failing("serve", "--vrps", path, "--listen", f"127.0.0.1:{free_port()}")
    assert "all of its 1 VRPs have expired" in line
    server = serve("--vrps", path, "--ignore-expiry")
    assert "Serving 1 VRPs" in server.banner[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serve"], "either --vrps PATH|URL or --synthetic"),
        (["serve", "--synthetic", "--vrps", "x"], "expected --config FILE, or either"),
        (["serve", "--synthetic", "--expire", "100"], "timers.expire: 100: expected 600 to 172800 seconds"),
        (["serve", "--synthetic", "--listen", "8323"], "expected HOST:PORT"),
        (["dump", "::1:8323"], "expected HOST:PORT, an IPv6 address as [::1]:8323"),
    ],
)
def test_wrong_usage(arguments, expected):
    ended = command(*arguments)
    assert ended.returncode == 2
    assert expected in ended.stderr


def test_nobody_listens(free_port):
    assert "Connection refused" in failing("dump", f"127.0.0.1:{free_port()}")


def test_a_reader_that_had_enough_is_no_error(serve, tmp_path):
    path = tmp_path / "many.csv"
    path.write_text(HEADER + "".join(f"AS{asn},192.0.2.0/24,24,x\n" for asn in range(1, 50_000)))
    server = serve("--vrps", path)
    ended = subprocess.run(
        f"{' '.join(COMMAND)} dump {server.where} | head -1",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == HEADER
    assert "Traceback" not in ended.stderr
    assert "Broken" not in ended.stderr


def test_options_come_from_the_environment(vrps, free_port, tmp_path):
    ports = [free_port(), free_port()]
    named = {
        "RTR_SERVER_VRPS": str(vrps),
        "RTR_SERVER_LISTEN": " ".join(f"127.0.0.1:{port}" for port in ports),
        "RTR_SERVER_REFRESH": "60",
        "RTR_SERVER_CONTROL": str(tmp_path / "c.sock"),
    }
    with (tmp_path / "log").open("w") as stderr:
        server = subprocess.Popen(
            [*COMMAND, "serve"],
            env={**os.environ, **named},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        assert server.stdout.readline().startswith("Serving 2 VRPs"), (tmp_path / "log").read_text()
        answer = command("status", "--json", env={**os.environ, **named})
        assert json.loads(answer.stdout)["serving"] == [f"127.0.0.1:{port}" for port in ports]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def test_a_configuration_file_stands_alone(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("")
    ended = command("serve", "--config", path, "--vrps", "x", "--verbose")
    assert ended.returncode == 2
    assert "--config stands alone: expected no --vrps, --verbose" in ended.stderr
    assert failing("serve", "--config", path) == f"rtr-server: {path}: source: expected a [[source]] at least"
    assert "none.toml: No such file" in failing("serve", "--config", tmp_path / "none.toml")


def test_ctrl_c_before_the_commands_are_there(tmp_path):
    """While modules are imported; a module that this takes long is put in their way."""
    (tmp_path / "click.py").write_text(
        "import pathlib, time\npathlib.Path(__file__).with_name('in').touch()\n"
    )
    with (tmp_path / "click.py").open("a") as module:
        module.write("time.sleep(60)\n")
    words = {"env": {**os.environ, "PYTHONPATH": str(tmp_path)}, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, "dump", "127.0.0.1:1"], **words) as started:
        until(lambda: (tmp_path / "in").exists())
        started.send_signal(signal.SIGINT)
        assert started.communicate(timeout=60)[1] == ""
    assert started.returncode == 130


def test_a_password_comes_from_a_pipe_too():
    hashed = command("hash-password", "router", input="correct horse\n")
    assert (hashed.returncode, hashed.stderr) == (0, "")
    assert hashed.stdout.startswith("router:")
    none = command("hash-password", "router", input="")
    assert (none.returncode, none.stderr) == (2, "rtr-server: no password on standard input\n")


def test_load_on_nobody_says_why(free_port):
    nobody = f"127.0.0.1:{free_port()}"
    ended = command("load", nobody, "--routers", "2")
    expected = f"rtr-server: {nobody}: no router could connect: Connection refused\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", expected)
