"""`rtr-server probe` on running caches: ours passes all, StayRTR has the faults that it is known for."""

import json
import subprocess
import sys
import time

import pytest

from tests.interop.processes import Process, wait_until
from tests.ports import free_port

pytestmark = pytest.mark.interop

COUNT = 200
"""VRPs enough that an order which is no order shows."""

KNOWN = {
    "C23": "mixed",
    "C24": "mixed",
    "C26": "version",
    "C28": "expected error 8",
    "C29": "error 4",
    "C38": "flush",
    "C39": "in version",
    "C52": "closed",
    "C53": "the second one",
    "C54": "no answer",
}
"""What Debian's StayRTR 0.5 does otherwise, and a word of what the probe says of it."""


@pytest.fixture
def content(tmp_path):
    """VRPs of both families, in turn, router keys and ASPAs, as rpki-client writes them."""
    later = int(time.time()) + 86_400
    prefixes = [
        f"10.{number}.0.0/16" if number % 2 else f"2001:db8:{number:x}::/48" for number in range(COUNT)
    ]
    roas = [{"prefix": prefix, "maxLength": 48 if ":" in prefix else 16, "asn": 64496} for prefix in prefixes]
    keys = [{"asn": 64496, "ski": "00" * 20, "pubkey": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"}]
    aspas = [{"customer_asid": 64496, "providers": [64497, 64498]}]
    for row in (*roas, *keys, *aspas):
        row.update(expires=later, ta="test")
    metadata = {"buildtime": "2026-01-01T00:00:00Z", "generated": int(time.time())}
    path = tmp_path / "vrps.json"
    path.write_text(json.dumps({"metadata": metadata, "roas": roas, "bgpsec_keys": keys, "aspas": aspas}))
    return path


def probe(port):
    """The exit code, and the results by number: outcomes and what was seen."""
    command = [sys.executable, "-m", "rtr_server", "probe", f"127.0.0.1:{port}", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    found = {}
    for row in json.loads(ended.stdout)["results"]:
        found.setdefault(row["number"], []).append((row["result"], row["why"]))
    return ended.returncode, found


def test_c55_ours_passes_all(start_cache, content):
    code, found = probe(start_cache(content).port)
    outcomes = {number: {outcome for outcome, _ in rows} for number, rows in found.items()}
    assert {number for number, seen in outcomes.items() if "fail" in seen} == set(), found
    # All versions are spoken, and there are data: that is what these two need the absence of.
    assert {number for number, seen in outcomes.items() if "skip" in seen} == {"C27", "C36"}
    assert code == 0


def test_the_faults_of_stayrtr_are_found(program, content, tmp_path):
    port = free_port()
    command = [program("stayrtr"), "-cache", str(content), "-bind", f"127.0.0.1:{port}", "-checktime=false"]
    stayrtr = Process([*command, "-metrics.addr", f"127.0.0.1:{free_port()}"], tmp_path / "stayrtr.log")
    try:
        wait_until(lambda: stayrtr.running() and "Updated added" in stayrtr.log.read_text(), "it has its set")
        code, found = probe(port)
    finally:
        stayrtr.kill()
    assert code == 1
    for number, words in KNOWN.items():
        failures = [why for outcome, why in found[number] if outcome == "fail"]
        assert any(words in why for why in failures), (number, found[number])
    passed = {number for number, rows in found.items() if all(outcome == "pass" for outcome, _ in rows)}
    assert {"C01", "C02", "C05", "C06", "C07", "C08", "C09", "C16", "C25"} <= passed, "what it does well"
