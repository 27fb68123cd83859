"""The HTTP server: what it is told by its configuration, and what clients that misbehave can do to it."""

import contextlib
import socket
import ssl
import struct
import time

import httpx
import pytest
import trustme

from rtr_server.config import ConfigError, build_config
from rtr_server.config.web import read_token
from rtr_server.feed.feed import FeedError
from rtr_server.transport.errors import TransportError
from rtr_server.web.problems import MEDIA_TYPE
from tests.web.conftest import SMALL

OLD = 1_700_000_000


def connect(running):
    connection = socket.create_connection(running.address, timeout=30)
    connection.settimeout(30)
    return connection


def everything(connection):
    """All octets until the server ends the connection."""
    octets = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 16):
            octets += piece
    return octets


def test_off_without_an_address(run_daemon):
    assert build_config({}).http.listen == ()


def test_healthz_and_readyz(small):
    assert small.client.get("/healthz").text == "ok\n"
    answer = small.client.get("/readyz")
    assert answer.status_code == 200
    found = answer.json()
    assert found["ready"] is True
    assert found["vrps"] == len(SMALL)
    assert found["serial"] == small.cache.history.serial
    assert found["sources"] == [{"name": "test feed", "state": "usable"}]


def test_not_ready_without_data(run_daemon):
    with run_daemon(FeedError("down", temporary=True)) as running:
        answer = running.client.get("/readyz")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["no data yet"])
        assert running.client.get("/healthz").status_code == 200


def test_not_ready_with_old_data(run_daemon):
    with run_daemon(SMALL, {"stale": {"after": "1h"}}, as_of=OLD) as running:
        answer = running.client.get("/readyz")
        assert answer.status_code == 503
        assert "s old: at most 3600 s" in answer.json()["reasons"][0]


def test_not_ready_while_data_are_withheld(run_daemon):
    with run_daemon(SMALL, {"stale": {"after": "1h", "action": "close"}}, as_of=OLD) as running:
        running.until(lambda: running.cache.updates.current.withheld)
        reasons = running.client.get("/readyz").json()["reasons"]
        assert "data are withheld: [stale] action is close" in reasons


def test_every_answer_is_guarded(small):
    headers = small.client.get("/healthz").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "date" in headers


def test_unknown_paths_and_methods_get_a_problem(small):
    answer = small.client.get("/nothing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "'/nothing': no such path",
        "error": "'/nothing': no such path",
    }
    answer = small.client.delete("/readyz")
    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (BROWSER, "text/html; charset=utf-8"),
        ("application/json;q=0.9, Text/HTML", "text/html; charset=utf-8"),
        ("*/*", "application/problem+json"),
        ("text/html;q=0", "application/problem+json"),
        ("text/html;q=x", "application/problem+json"),
        ("text/html;q=0.5, application/json", "application/problem+json"),
        ("text/html;q=0.5, application/problem+json", "application/problem+json"),
    ],
)
def test_a_browser_gets_a_page_where_nothing_lies(small, accept, kind):
    answer = small.client.get("/nothing/<b>", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (404, kind)
    assert "Accept" in answer.headers["vary"].split(", ")
    assert "no such path" in answer.text
    if kind.startswith("text/html"):
        assert "<b>" not in answer.text
        assert "<h1>There is no such page</h1>" in answer.text
        assert '<form class="ask" role="search"' in answer.text
        assert small.client.head("/nothing", headers={"Accept": accept}).status_code == 404
        assert small.client.delete("/", headers={"Accept": accept}).headers["content-type"] == MEDIA_TYPE


def test_token(run_daemon, tmp_path):
    path = tmp_path / "token"
    path.write_text("0123456789abcdef\n")
    with run_daemon(SMALL, {"http": {"token": str(path)}}) as running:
        assert running.client.get("/healthz").status_code == 200
        assert running.client.get("/readyz").status_code == 200
        for given in ({}, {"Authorization": "Bearer x"}, {"Authorization": "0123456789abcdef"}):
            answer = running.client.get("/nothing", headers=given)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
        for scheme in ("Bearer ", "bearer  "):
            allowed = {"Authorization": f"{scheme}0123456789abcdef"}
            assert running.client.get("/nothing", headers=allowed).status_code == 404


def test_the_body_that_head_leaves_out_is_not_counted(run_daemon):
    with run_daemon() as running:
        length = int(running.client.head("/json").headers["content-length"])
        assert running.daemon.traffic.octets_out == 0 < length
        running.client.get("/version")
        assert 0 < running.daemon.traffic.octets_out < length


@pytest.mark.parametrize("token", ["", "short", "blanks in it 0123456789", "nön-ascii-0123456789"])
def test_a_token_that_is_none(token, tmp_path):
    (tmp_path / "token").write_text(token)
    with pytest.raises(ValueError, match="expected a token"):
        read_token(tmp_path / "token")


def test_a_token_file_that_is_missing_ends_the_start(run_daemon, tmp_path):
    running = run_daemon(SMALL, {"http": {"token": str(tmp_path / "none")}})
    with pytest.raises(TransportError, match="No such file"):
        running.__enter__()


def test_the_end_is_no_error_for_those_who_wait(run_daemon, caplog):
    """A long poll is answered, an answer that goes on is cut off; nothing is logged of either."""
    with contextlib.ExitStack() as stack:
        with run_daemon() as running:
            poll, body = stack.enter_context(connect(running)), stack.enter_context(connect(running))
            known = running.client.get("/json-delta/notify").json()
            query = f"session={known['session']}&serial={known['serial']}"
            poll.sendall(f"GET /json-delta/notify?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head = "Content-Type: application/x-ndjson\r\nContent-Length: 1000"
            body.sendall(f"POST /api/v1/validity HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode())
            running.until(lambda: running.cache.http._web.app.current == 2)
        assert b'"serial"' in everything(poll)
        assert everything(body) == b""
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_port_in_use_ends_the_start(run_daemon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = run_daemon(SMALL, {"http": {"listen": [f"127.0.0.1:{taken.getsockname()[1]}"]}})
        with pytest.raises(TransportError, match=r"in use \(--http ADDR:PORT picks another\)"):
            running.__enter__()


def test_certificate_and_key_belong_together():
    with pytest.raises(ConfigError, match=r"http\.key: missing"):
        build_config({"http": {"certificate": "x.pem"}})


def test_tls(run_daemon, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    http = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with run_daemon(SMALL, {"http": http}) as running:
        assert running.url.startswith("https://")
        assert httpx.get(f"{running.url}healthz", verify=context, trust_env=False).text == "ok\n"


def sighup(running):
    async def reload():
        running.cache.reload()
        await running.cache._reloading

    running.call(reload)


def test_a_reload_takes_the_token_that_is_there_now(run_daemon, tmp_path):
    path, token = tmp_path / "rtr-server.toml", tmp_path / "token"
    path.write_text(
        f'[[listen]]\naddress = "127.0.0.1:0"\n[http]\nlisten = ["127.0.0.1:0"]\ntoken = "{token}"'
    )
    token.write_text("old-0123456789ab")
    with run_daemon(SMALL, {"http": {"token": str(token)}}, path=path) as running:

        def statuses():
            given = [{"Authorization": f"Bearer {each}-0123456789ab"} for each in ("old", "new")]
            return [running.client.get("/version", headers=each).status_code for each in given]

        token.write_text("new-0123456789ab")
        assert statuses() == [200, 401]
        sighup(running)
        assert statuses() == [401, 200]
        token.write_text("none")
        sighup(running)
        assert statuses() == [401, 200]


def test_a_reload_takes_the_certificate_that_is_there_now(run_daemon, tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)

    def renew():
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")

    def serial(running):
        with (
            socket.create_connection(running.address) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            return tls.getpeercert()["serialNumber"]

    renew()
    http = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    path = tmp_path / "rtr-server.toml"
    lines = [f'{name} = "{value}"' for name, value in http.items()]
    path.write_text(
        "\n".join(["[[listen]]", 'address = "127.0.0.1:0"', "[http]", 'listen = ["127.0.0.1:0"]', *lines])
    )
    with run_daemon(SMALL, {"http": http}, path=path) as running:
        before = serial(running)
        renew()
        assert serial(running) == before
        sighup(running)
        after = serial(running)
        assert after != before
        (tmp_path / "key.pem").write_text("no key")
        sighup(running)
        assert serial(running) == after


@pytest.mark.parametrize(
    "octets",
    [b"\x16\x03\x01\x00\xff\x00" * 10, b"GET / HTTQ/1.1\r\n\r\n", b"\x00" * 1000, b"GET /\r\n\r\n"],
)
def test_what_is_no_http_gets_400(small, octets, caplog):
    """And a line in the form of the log, which the loggers of the daemon have."""
    with connect(small) as connection:
        connection.sendall(octets)
        assert everything(connection).startswith(b"HTTP/1.1 400")
    [record] = caplog.records
    assert (record.getMessage(), record.fields) == ("no HTTP request", {"client": "127.0.0.1"})


@pytest.mark.parametrize(
    ("target", "status", "found"),
    [
        (b"http://glass.example:8080/healthz", b"200", b"\r\n\r\nok\n"),
        (b"HTTPS://glass.example/validity?asn=64496&prefix=192.0.2.0%2F24", b"200", b'"asn": "AS64496"'),
        (b"http://glass.example", b"200", b"<!doctype html>"),
        (b"http://glass.example?x", b"400", b"<!doctype html>"),
        (b"http:///nothing", b"404", b"There is no such page"),
    ],
)
def test_a_target_may_name_the_server(small, target, status, found):
    """RFC 9112 §3.2.2: a server takes the absolute form, which is sent to proxies."""
    with connect(small) as connection:
        head = b"Host: x\r\nAccept: text/html\r\nConnection: close\r\n\r\n"
        connection.sendall(b"GET %b HTTP/1.1\r\n%b" % (target, head))
        octets = everything(connection)
        assert octets.startswith(b"HTTP/1.1 " + status)
        assert found in octets


def test_an_offer_of_http_2_is_passed_over(small, caplog):
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": ""}
    assert small.client.get("/healthz", headers=offer).text == "ok\n"
    assert not caplog.records


def test_a_head_without_end_is_refused(small):
    with connect(small) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.sendall(b"X: " + b"y" * 1000 + b"\r\n")
        answer = everything(connection)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_slow_heads_are_cut_off(run_daemon):
    with run_daemon(SMALL, {"http": {"header_timeout": "200ms"}}) as running:
        for start in (b"", b"GET / HT", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he"):
            with connect(running) as connection:
                connection.sendall(start)
                answered = everything(connection)
                assert answered == b"" or answered.endswith(b"ok\n")
        assert running.cache.http._web.app._traffic.timeouts["head"] == 3


def test_connections_beyond_the_limit_get_503(run_daemon):
    with run_daemon(SMALL, {"http": {"max_connections": 3}}) as running, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(running)) for _ in range(3)]
        running.until(lambda: running.cache.http._server.connected == 3)
        with connect(running) as refused:
            assert everything(refused).startswith(b"HTTP/1.1 503")
        for connection in held:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert everything(connection).endswith(b"ok\n")


RESET_QUERY, END_OF_DATA = b"\x01\x02\x00\x00\x00\x00\x00\x08", 7


def synced(running):
    """A router connects, and has the whole set."""
    with socket.create_connection(running.cache.endpoints[0], timeout=30) as router:
        router.sendall(RESET_QUERY)
        stream = router.makefile("rb")
        kind = None
        while kind != END_OF_DATA:
            _, kind, _, length = struct.unpack("!BBHI", stream.read(8))
            stream.read(length - 8)
    return True


def test_a_thousand_connections_do_no_harm(run_daemon):
    """Neither to routers nor to each other."""
    with run_daemon() as running, contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(running)) for _ in range(1000)]
        running.until(lambda: running.cache.http._server.connected == 1000)
        assert synced(running)
        began = time.monotonic()
        for connection in held:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert all(everything(connection).endswith(b"ok\n") for connection in held)
        assert time.monotonic() - began < 60
    assert running.cache.http._server.connected == 0
