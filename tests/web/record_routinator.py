"""Record what a Routinator answers, for test_recorded.py: `python -m tests.web.record_routinator PROGRAM`.

Routinator (`cargo install routinator`) takes the set from local assertions (RFC 8416), so that neither a
trust anchor nor a network is needed. Each exchange is written as it was, with the time of the record where
an answer states the time.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.ports import free_port

RECORD = Path(__file__).parent / "recorded" / "routinator.json"

WAIT = 60.0

SPKI = base64.urlsafe_b64encode(bytes(range(64))).decode().rstrip("=")
SKI = base64.urlsafe_b64encode(bytes(range(20))).decode().rstrip("=")

ASSERTIONS = {
    "slurmVersion": 2,
    "validationOutputFilters": {"prefixFilters": [], "bgpsecFilters": [], "aspaFilters": []},
    "locallyAddedAssertions": {
        "prefixAssertions": [
            {"asn": 196615, "prefix": "93.175.147.0/24", "maxPrefixLength": 24},
            {"asn": 64496, "prefix": "192.0.2.0/24", "maxPrefixLength": 26},
            {"asn": 64497, "prefix": "192.0.2.0/24", "maxPrefixLength": 24},
            {"asn": 0, "prefix": "198.51.100.0/24", "maxPrefixLength": 24},
            {"asn": 64498, "prefix": "0.0.0.0/0"},
            {"asn": 64499, "prefix": "10.0.0.0/8", "maxPrefixLength": 32},
            {"asn": 64496, "prefix": "2001:db8::/32", "maxPrefixLength": 48},
            {"asn": 4294967295, "prefix": "2001:db8:0:1::/64", "maxPrefixLength": 128},
            {"asn": 64500, "prefix": "::ffff:0:0/96"},
        ],
        "bgpsecAssertions": [{"asn": 64496, "SKI": SKI, "routerPublicKey": SPKI}],
        "aspaAssertions": [],
    },
}
"""One assertion each of what a VRP can be: of AS 0, of every address, without maxLength, nested, the last AS.
None of an ASPA: this Routinator takes no such assertions."""

ROUTES = (
    ("AS12654", "93.175.147.0/24"), ("AS196615", "93.175.147.0/24"), ("196615", "93.175.147.0/25"),
    ("as64496", "192.0.2.0/26"), ("AS64496", "192.0.2.0/27"), ("AS64499", "192.0.2.0/27"),
    ("AS64499", "192.0.2.0/25"), ("AS64497", "192.0.2.77/24"), ("AS64498", "0.0.0.0/0"),
    ("AS1", "0.0.0.0/0"), ("AS64499", "10.1.2.3/32"), ("AS64496", "2001:db8::/48"),
    ("AS64496", "2001:db8::/49"), ("AS4294967295", "2001:db8:0:1::1/128"), ("AS1", "2001:db9::/32"),
    ("AS64500", "::ffff:0:0/96"), ("AS1", "::/0"), ("AS64496", "198.51.100.0/24"),
)  # fmt: skip

LISTS = (
    "json",
    "csv",
    "csvcompat",
    "openbgpd",
    "bird1",
    "bird2",
    "rpsl",
    "slurm",
    "slurm2",
    "jsonext",
    "csvext",
)

SELECTIONS = (
    "select-asn=64496", "select-asn=AS64496&select-asn=64497", "select-prefix=192.0.2.0/26",
    "select-prefix=10.0.0.0/7&include=more-specifics", "select-prefix=10.0.0.0/7",
    "select-asn=64497&select-prefix=2001:db8::/32", "exclude=routeOrigins", "exclude=routerKeys,aspas",
)  # fmt: skip

BAD = (
    "/json?nonsense=1", "/json?select-asn=x", "/json?select-prefix=192.0.2.0", "/csv?exclude=nonsense",
    "/api/v1/validity/AS1/192.0.2.0/33", "/api/v1/validity/x/192.0.2.0/24", "/api/v1/validity/AS1",
    "/validity?asn=1", "/validity?prefix=192.0.2.0/24", "/validity", "/json-delta?session=1",
    "/json-delta?session=x&serial=0", "/nonsense", "/api/v1/nonsense",
)  # fmt: skip


def requests() -> list[dict]:
    """All that is asked, each as method, path, and headers and body where there are any."""
    asked = [{"method": "GET", "path": f"/api/v1/validity/{asn}/{prefix}"} for asn, prefix in ROUTES]
    asked += [{"method": "GET", "path": f"/validity?asn={asn}&prefix={prefix}"} for asn, prefix in ROUTES[:2]]
    # in a body it takes neither "as" for "AS" nor host bits, as it does in a path
    plain = [(asn, prefix) for asn, prefix in ROUTES if asn != "as64496" and prefix != "192.0.2.77/24"]
    routes = {"routes": [{"asn": asn, "prefix": prefix} for asn, prefix in plain]}
    sent = {"content-type": "application/json"}
    asked += [
        {"method": "POST", "path": "/validity", "headers": sent, "body": json.dumps(body)}
        for body in (routes, {"routes": []}, {"routes": [{"asn": 64496, "prefix": "192.0.2.0/24"}]}, {}, [])
    ]
    asked += [{"method": "POST", "path": "/validity", "headers": sent, "body": "{"}]
    asked += [
        {"method": "POST", "path": "/validity", "headers": {"content-type": "text/plain"}, "body": "{}"}
    ]
    asked += [{"method": "GET", "path": f"/{name}"} for name in LISTS]
    asked += [
        {"method": "GET", "path": f"/{name}?{query}"} for name in ("json", "csv") for query in SELECTIONS
    ]
    asked += [
        {"method": "GET", "path": path} for path in ("/json-delta", "/version", "/status", "/api/v1/status")
    ]
    asked += [{"method": "HEAD", "path": path} for path in ("/json", "/validity?asn=1&prefix=::/0")]
    asked += [{"method": "DELETE", "path": path} for path in ("/json", "/status", "/json-delta")]
    asked += [{"method": "GET", "path": path} for path in BAD]
    return asked


def exchange(client: httpx.Client, asked: dict) -> dict:
    """A request with what came of it."""
    answer = client.request(
        asked["method"], asked["path"], headers=asked.get("headers"), content=asked.get("body")
    )
    kept = {"status": answer.status_code, "type": answer.headers.get("content-type"), "answer": answer.text}
    return {**asked, **kept}


def main() -> None:
    """Start the program given, ask it everything, write the record."""
    program, port = sys.argv[1], free_port()
    with tempfile.TemporaryDirectory() as directory:
        assertions = Path(directory) / "slurm.json"
        assertions.write_text(json.dumps(ASSERTIONS))
        options = [
            "--no-rir-tals", "--extra-tals-dir", directory, "--repository-dir", f"{directory}/repository",
            "--exceptions", str(assertions), "--enable-bgpsec", "--enable-aspa",
            "--disable-rsync", "--disable-rrdp",
        ]  # fmt: skip
        command = [program, *options, "server", "--http", f"127.0.0.1:{port}"]
        server = subprocess.Popen(command)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT, trust_env=False) as client:
                wait_for_data(client)
                found = [exchange(client, asked) for asked in requests()]
        finally:
            server.terminate()
            server.wait(WAIT)
    version = subprocess.run(
        [program, "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    record = {"program": version, "assertions": ASSERTIONS, "exchanges": found}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def wait_for_data(client: httpx.Client) -> None:
    """Until its first validation is done."""
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        try:
            if client.get("/json").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise SystemExit("Routinator has no data after a minute")


if __name__ == "__main__":
    main()
