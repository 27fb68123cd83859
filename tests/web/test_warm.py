"""What answers need is there before routers are served, so that none of them waits for it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time

import pyarrow as pa

from rtr_server.web import bulk
from tests.conftest import ports

WATCHED = """
import atexit, gc, sys
from rtr_server.__main__ import main

known, freeze = set(), gc.freeze

def remember():
    freeze()
    known.update(sys.modules)

gc.freeze = remember
atexit.register(lambda: print("late:", *sorted(set(sys.modules) - known)))
main()
"""
"""The daemon, which says at its end what it has imported after it left its objects out of collections."""

GET = (
    "/",
    "/lookup?prefix=192.0.2.0/24&asn=64496",
    "/asn/64496",
    "/metrics",
    "/status",
    "/api/v1/status",
    "/api/v1/history",
    "/api/v1/sessions",
    "/api/v1/sources",
    "/api/v1/validity/AS64496/192.0.2.0/24",
    "/json?select-asn=64496",
    "/json-delta",
    "/csv",
    "/slurm",
    "/api/v1/openapi.json",
    "/readyz",
)


def ask(port, method, path, **body):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, **body)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def ready(port):
    try:
        return ask(port, "GET", "/readyz") == 200
    except OSError:
        return False


def arrow():
    sink = pa.BufferOutputStream()
    table = pa.table({"prefix": ["192.0.2.0/24"], "origin": pa.array([64496], pa.uint32())})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_no_answer_imports_anything(tmp_path):
    vrps = {"roas": [{"asn": 64496, "prefix": "192.0.2.0/24", "maxLength": 24, "ta": "x"}]}
    (tmp_path / "vrps.json").write_text(json.dumps(vrps))
    rtr, web = ports.free_port(), ports.free_port()
    command = ["serve", "--listen", f"127.0.0.1:{rtr}", "--vrps", str(tmp_path / "vrps.json")]
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED, *command, "--http", f"127.0.0.1:{web}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        until = time.monotonic() + 60
        while not ready(web):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        for path in GET:
            assert ask(web, "GET", path) == 200, path
        for form, body in (
            ("application/x-ndjson", b'{"prefix":"192.0.2.0/24","origin":64496}\n'),
            ("application/vnd.apache.arrow.stream", arrow()),
        ):
            headers = {"Content-Type": form}
            assert ask(web, "POST", "/api/v1/validity", body=body, headers=headers) == 200
    finally:
        process.send_signal(signal.SIGTERM)
        told, _ = process.communicate(timeout=60)
    assert told.splitlines()[-1] == "late:"


def test_a_package_that_is_broken_keeps_nobody_from_being_served(run_daemon, monkeypatch, caplog):
    def broken():
        raise AttributeError("_ARRAY_API not found")

    monkeypatch.setattr(bulk, "warm_up", broken)
    with run_daemon() as running:
        assert running.client.get("/readyz").status_code == 200
    assert [record for record in caplog.records if record.getMessage() == "HTTP not ready in all parts"]
