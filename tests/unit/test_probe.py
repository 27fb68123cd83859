"""The conformance probe: nothing to complain of in our server, and each fault of a faulty cache is found."""

import contextlib
import json
import socket
import threading
import time

import pytest
from click.testing import CliRunner

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.history import History
from rtr_server.cli import main
from rtr_server.endpoint import Endpoint
from rtr_server.protocol.pdu import AspaPdu, CacheReset, EndOfData, ErrorReport, PrefixPdu, RouterKeyPdu
from rtr_server.protocol.session import CacheSession
from rtr_server.tools import check_conduct, checks, probe
from rtr_server.tools.received import Part, Payload

VRPS = [
    Vrp(Prefix.parse(prefix), length, asn)
    for prefix, length, asn in [
        ("192.0.2.0/24", 24, 64496),
        ("10.0.0.0/8", 24, 64497),
        ("2001:db8::/32", 48, 64496),
    ]
]
KEY = RouterKey(64496, bytes(20), bytes(91))
ASPA = Aspa(64496, (64497, 64498))
DATA = Snapshot.from_vrps(VRPS, aspas=[ASPA], router_keys=[KEY])

FIRST, SECOND, V6 = (PrefixPdu(2, True, vrp).encode() for vrp in VRPS)
FIRST_V1, SECOND_V1, _ = (PrefixPdu(1, True, vrp).encode() for vrp in VRPS)
KEY_PDU = RouterKeyPdu(2, True, KEY).encode()
ASPA_PDU = AspaPdu(2, True, ASPA).encode()
END = EndOfData(2, 3, 7, 3600, 600, 7200).encode()
END_V1 = EndOfData(1, 2, 7, 3600, 600, 7200).encode()
RESET = CacheReset(2).encode()
FATAL = ErrorReport(2, 0, b"", "sorry").encode()

CLOSE = None


class FakeCache:
    """Our session behind a socket, its output changed by ``twist(received, output)``; CLOSE ends at once."""

    def __init__(self, twist, data=DATA, *, stays=False, greeting=b""):
        self.twist, self.stays, self.greeting = twist, stays, greeting
        self.history = History({0: 1, 1: 2, 2: 3}, 7, snapshot=data)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = Endpoint(*self.listener.getsockname())
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        session = CacheSession(self.history, now=0.0)
        with connection, contextlib.suppress(OSError):
            connection.sendall(self.greeting)
            while received := connection.recv(4096):
                session.receive_data(received, 0.0)
                output = self.twist(received, b"".join(self.drain(session)))
                if output is CLOSE:
                    return
                connection.sendall(output)
                if session.closing and not self.stays:
                    connection.shutdown(socket.SHUT_WR)

    def drain(self, session):
        while chunk := session.next_chunk(1 << 20):
            yield bytes(chunk)
            session.sent(len(chunk), time.monotonic())


@pytest.fixture
def fake(monkeypatch):
    """Start a fake cache; silence is known sooner than in the field."""
    monkeypatch.setattr(probe, "QUIET", 0.1)
    monkeypatch.setattr(check_conduct, "QUIET", 0.1)
    started = []

    def start(twist=lambda received, output: output, *args, **options):
        started.append(FakeCache(twist, *args, **options))
        return started[-1].endpoint

    yield start
    for cache in started:
        cache.listener.close()


def results(endpoint, number=None, timeout=0.4):
    chosen = [check for check in checks.CHECKS if number in (None, check.number)]
    return probe.run(probe.Probe(endpoint, timeout=timeout), chosen)


def replace(old, new):
    assert old != new
    return lambda received, output: output.replace(old, new)


def on(condition, answer):
    return lambda received, output: answer if condition(received) else output


def without_errors(received, output):
    return b"" if output[1:2] == b"\x0a" else output


def slow(received, output):
    time.sleep(1.1)
    return output


def test_a_good_cache_passes_all(fake):
    found = results(fake(), timeout=2.0)
    assert [(check.number, why) for check, outcome, why in found if outcome == "fail"] == []
    skipped = {check.number for check, outcome, _ in found if outcome == "skip"}
    assert skipped == {"C27", "C36"}, "all versions are spoken, data are there"


def test_the_numbers_are_in_order_and_known_to_the_sheet():
    names = [check.number for check in checks.CHECKS]
    assert names == sorted(names)
    assert set(names) <= {f"C{number:02}" for number in range(1, 59)}


FAULTS = {
    "C01": (replace(END, b"\1" + END[1:]), "end of data of version 1"),
    "C02": (replace(FIRST, FIRST[:7] + b"\x18" + FIRST[8:] + bytes(4)), "length 24, expected 20"),
    "C03": (replace(FIRST, FIRST[:2] + b"\0\1" + FIRST[4:]), "zero field"),
    "C04": (on(lambda received: received[2:4] == b"\xff\xff", FATAL), "error 0"),
    "C05": (replace(FIRST, FIRST[:15] + b"\1" + FIRST[16:]), "beyond length 24"),
    "C06": (replace(END, END[:7] + b"\x0c" + END[8:12]), "12 octets, expected 24"),
    "C07": (replace(END, EndOfData(2, 3, 7, 3600, 600, 3600).encode()), "expire 3600"),
    "C08": (replace(END, EndOfData(2, 4, 7, 3600, 600, 7200).encode()), "End of Data 4"),
    "C09": (replace(FIRST, FIRST[:8] + b"\0" + FIRST[9:]), "withdrawal"),
    "C10": (
        lambda received, output: output.replace(END, FIRST + END) if received[1] == 1 else output,
        "serial 7 is current",
    ),
    "C14": (replace(RESET, FATAL), "error 0"),
    "C16": (replace(FIRST, FIRST * 2), "1 of 3 IPv4"),
    "C17": (replace(KEY_PDU, KEY_PDU * 2), "1 of 2 router keys"),
    "C18": (replace(ASPA_PDU, ASPA_PDU * 2), "2 ASPAs for 1"),
    "C19": (replace(ASPA_PDU, ASPA_PDU[:7] + b"\x0c" + ASPA_PDU[8:12]), "without providers"),
    "C22": (replace(END_V1, b"\1" + ASPA_PDU[1:] + END_V1), "version 1: has a PDU of type ASPA"),
    "C23": (replace(FIRST + SECOND, SECOND + FIRST), "prefix 2 of 2"),
    "C24": (replace(FIRST_V1 + SECOND_V1, SECOND_V1 + FIRST_V1), "version 1: IPv4 prefix 2 of 2"),
    "C25": (on(lambda received: received[0] == 1, CLOSE), "version 1: connection closed"),
    "C26": (on(lambda received: received[0] == 3, CLOSE), "without an Error Report"),
    "C30": (on(lambda received: received[1] == 10, FATAL), "error 0"),
    "C31": (on(lambda received: received[1] == 10, FATAL), "error 0"),
    "C32": (replace(bytes.fromhex("020a0005"), bytes.fromhex("020a0063")), "error 99"),
    "C34": (replace(bytes.fromhex("0263000000000008"), bytes(8)), "not the one that was sent"),
    "C38": (replace(RESET, FATAL), "flush"),
    "C39": (replace(b"\1\3\0\2", b"\1\3\0\3"), "3 in version 1, 3 in version 2"),
    "C43": (replace(END, END + RESET), "cache reset"),
    "C52": (on(lambda received: len(received) < 8, CLOSE), "closed"),
    "C53": (lambda received, output: output[:32] if len(received) == 24 else output, "the second one"),
    "C55": (slow, "first octets 1.1"),
}


@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_is_found(fake, number):
    twist, why = FAULTS[number]
    timeout = 2.0 if number == "C55" else 0.4
    found = results(fake(twist), number, timeout)
    assert "fail" in [result.outcome for result in found], found
    assert any(why in result.why for result in found if result.outcome == "fail"), found


@pytest.mark.parametrize("number", ["C28", "C29", "C31", "C35", "C37", "C54"])
def test_a_cache_that_stays_after_a_fault_is_found(fake, number):
    found = results(fake(stays=True), number)
    assert any(outcome == "fail" and "left open" in why for _, outcome, why in found), found


@pytest.mark.parametrize("number", ["C26", "C28", "C37", "C54"])
def test_a_cache_that_says_nothing_of_a_fault_is_found(fake, number):
    assert "fail" in [outcome for _, outcome, _ in results(fake(without_errors), number)]


def test_an_error_report_whose_text_does_not_fit(fake):
    def twist(received, output):
        return output[:-1] + b"\xff" if output[:4].hex() == "020a0005" else output

    (found,) = results(fake(twist), "C33")
    assert found.outcome == "fail"
    assert "error 5" in found.why


def test_a_greeting_is_found(fake):
    (found,) = results(fake(greeting=bytes.fromhex("000000010000000c00000007")), "C42")
    assert (found.outcome, found.why) == ("fail", "serial notify of version 0, connection left open")


def test_an_old_version_that_is_not_refused_in_order(fake):
    # Version 0 is refused by silence: C27 wants Error 4.
    (found,) = results(fake(on(lambda received: received[0] == 0, CLOSE)), "C27")
    assert found.outcome == "fail"


def test_a_cache_without_data(fake):
    endpoint = fake(data=None)
    (found,) = results(endpoint, "C36")
    assert found.outcome == "pass"
    assert [(check.number, why) for check, outcome, why in results(endpoint) if outcome == "fail"] == []
    (found,) = results(fake(data=Snapshot.empty()), "C36")
    assert (found.outcome, found.check.level) == ("fail", "robustness")


def test_a_response_cut_off_is_no_missing_version(fake):
    def twist(received, output):
        return output[: output.index(FIRST) + 25] if FIRST in output else output

    (found,) = results(fake(twist), "C02")
    assert found.outcome == "fail"
    assert found.why.startswith("version 2: no answer within")


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2p1\r\n", b"\xff" * 4096, b""])
def test_what_is_no_rtr_server(fake, greeting):
    began = time.monotonic()
    found = results(fake(lambda received, output: b"", greeting=greeting), timeout=0.2)
    assert probe.failed(found)
    assert "pass" not in {outcome for check, outcome, _ in found if check.number == "C25"}
    assert time.monotonic() - began < 10


def test_the_time_of_the_whole_is_bounded(fake):
    endpoint = fake(lambda received, output: b"")
    began = time.monotonic()
    found = probe.run(probe.Probe(endpoint, timeout=5.0, budget=0.5), checks.CHECKS)
    assert time.monotonic() - began < 2
    assert {result.outcome for result in found} <= {"skip", "fail"}
    assert found[-1].why == "no time left"


@pytest.mark.parametrize(
    ("pdus", "judge", "why"),
    [
        ([V6[:9] + b"\x81\x81" + V6[11:]], Payload.bad_prefix, "max length 129"),
        ([V6[:27] + b"\1" + V6[28:]], Payload.bad_prefix, "beyond length 32"),
        ([KEY_PDU[:3] + b"\1" + KEY_PDU[4:]], Payload.nonzero_field, "0101"),
        ([FIRST[:8] + b"\3" + FIRST[9:]], Payload.nonzero_field, "0x03"),
        ([V6, FIRST], Payload.misordered, "mixed"),
        ([KEY_PDU, KEY_PDU[:8] + b"\1" + KEY_PDU[9:]], Payload.misordered, ""),
        ([KEY_PDU[:8] + b"\1" + KEY_PDU[9:], KEY_PDU], Payload.misordered, "router keys"),
        ([AspaPdu(2, True, Aspa(asn, (1,))).encode() for asn in (5, 4)], Payload.misordered, "ASPAs"),
        ([AspaPdu(2, True, Aspa(1, (3, 2))).encode()], Payload.duplicate_aspa, "rise"),
        ([AspaPdu(2, True, Aspa(1, (0, 2))).encode()], Payload.bad_providers, "AS 0"),
        ([AspaPdu(2, True, Aspa(1, (0,))).encode()], Payload.bad_providers, ""),
    ],
)
def test_payload(pdus, judge, why):
    found = judge(Payload([Part(pdu[1], pdu) for pdu in pdus]))
    assert why in found
    assert bool(found) == bool(why)


# The command


def command(*arguments):
    return CliRunner().invoke(main, ["probe", *map(str, arguments)])


def test_the_command_passes_a_good_cache(fake):
    ran = command(fake(), "--only", "c26, C01")
    assert ran.exit_code == 0, ran.output
    assert "C26" in ran.stdout
    assert "8210bis §7" in ran.stdout
    assert "2 pass, 0 fail, 0 skipped" in ran.stderr


def test_the_command_as_json_with_a_broken_must(fake):
    endpoint = fake(FAULTS["C26"][0])
    ran = command(endpoint, "--json", "--only", "C26")
    assert ran.exit_code == 1
    report = json.loads(ran.stdout)
    assert (report["cache"], report["fail"]) == (str(endpoint), 1)
    (row,) = report["results"]
    assert (row["number"], row["level"], row["result"]) == ("C26", "MUST", "fail")
    assert row["why"] == "version 3: closed without an Error Report"


def test_a_broken_should_is_no_failure_of_the_command(fake):
    assert command(fake(FAULTS["C39"][0]), "--only", "C39").exit_code == 0


def test_hostile_text_does_not_reach_the_terminal(fake):
    report = ErrorReport(3, 4, b"", "x").encode()[:-1] + b"\x1b"
    ran = command(fake(on(lambda received: received[0] == 3, report)), "--only", "C26")
    assert ran.exit_code == 1
    assert "\x1b" not in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["127.0.0.1:1"], "refused"),
        (["127.0.0.1:1", "--only", "C99"], "--only C99: expected some of C01"),
        (["127.0.0.1"], "HOST:PORT"),
    ],
)
def test_unreachable_or_misused(arguments, words):
    ran = command(*arguments)
    assert ran.exit_code == 2
    assert words in ran.output
