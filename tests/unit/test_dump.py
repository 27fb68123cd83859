"""The mirror client against caches that a test plays, and the files it writes."""

import contextlib
import errno
import io
import socket
import threading
import time

import pytest
from click.testing import CliRunner

import rov
from rov import Aspa, RouterKey, Snapshot, VrpColumns
from rtr_server.cli import main
from rtr_server.endpoint import Endpoint
from rtr_server.tools import follow
from rtr_server.tools.dump import Dump, DumpError, fetch, write_csv, write_json

ONE_V4 = "0104000000000014 01181800 c0000200 0000fbf0"
BEGIN, END = "0103000700000008", "0107000700000018 00000005 00000e10 00000258 00001c20"


@pytest.fixture
def cache():
    """Plays a cache: each given list of hex texts answers one connection, a text after each query."""
    opened = []

    def play(*connections):
        listener = socket.create_server(("127.0.0.1", 0))
        opened.append(listener)

        def run():
            with contextlib.suppress(OSError):
                for answers in connections:
                    connection, _ = listener.accept()
                    with connection:
                        for answer in answers:
                            connection.recv(1024)
                            connection.sendall(bytes.fromhex(answer))
                        if answers and answers[-1] == "":
                            time.sleep(2)

        threading.Thread(target=run, daemon=True).start()
        return Endpoint(*listener.getsockname())

    yield play
    for listener in opened:
        listener.close()


def test_a_set(cache):
    found = fetch(cache([BEGIN + ONE_V4 + END]), version=1)
    assert [str(vrp) for vrp in found.snapshot.vrps()] == ["192.0.2.0/24-24 AS64496"]
    assert (found.version, found.session_id, found.serial, found.octets) == (1, 7, 5, 52)


def test_error_4_lowers_the_version_on_the_connection(cache):
    refused = "010a0004 00000018 00000008 0202000000000008 00000000"
    assert fetch(cache([refused, BEGIN + END])).version == 1


def test_a_close_without_a_word_lowers_it_on_the_next(cache):
    assert fetch(cache([], [BEGIN + END])).version == 1


def test_an_asked_version_is_not_lowered(cache):
    with pytest.raises(DumpError, match=r"version 1: expected 2"):
        fetch(cache([BEGIN + END]), version=2)


def test_no_data_is_waited_for(cache):
    no_data = "010a0002 00000010 00000000 00000000"
    notify = "01000007 0000000c 00000005"
    found = fetch(cache([no_data + notify, BEGIN + ONE_V4 + END]), version=1, timeout=5)
    assert len(found.snapshot) == 1


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("010a0001 00000014 00000000 00000004 6f6f7073", r"error 1 \(internal error\) from the cache: oops"),
        (BEGIN + ONE_V4 + ONE_V4 + END, "broke the protocol .duplicate announcement"),
        (BEGIN + ONE_V4, "ended before the full set"),
        ("485454502f312e3120343030", "broke the protocol"),
    ],
    ids=["error", "duplicate", "cut", "no RTR"],
)
def test_what_goes_wrong_is_told(cache, answer, expected):
    endpoint = cache([answer])
    with pytest.raises(DumpError, match=expected) as caught:
        fetch(endpoint, version=1, timeout=5)
    assert str(endpoint) in str(caught.value)


def test_a_silent_cache_is_given_up(cache):
    began = time.monotonic()
    with pytest.raises(DumpError, match="no full set within the timeout"):
        fetch(cache(["", ""]), timeout=0.3)
    assert time.monotonic() - began < 2


def test_files_can_be_read_back(tmp_path):
    snapshot = Snapshot.build(
        VrpColumns.ipv4([0xC0000200, 0xC0000200], [24, 24], [24, 32], [64496, 2**32 - 1]),
        VrpColumns.ipv6([[0x20010DB8 << 32, 0]], [32], [128], [0]),
        aspas=[Aspa(64496, (64497, 64498)), Aspa(64499, (0,))],
        router_keys=[RouterKey(64496, bytes(range(20)), b"\x30\x03\x01\x02\x03")],
    )
    csv, json = io.StringIO(), io.StringIO()
    write_csv(snapshot, csv)
    write_json(Dump(snapshot, 2, 7, 5, 100, 0.1), json)
    (tmp_path / "a.csv").write_text(csv.getvalue())
    (tmp_path / "a.json").write_text(json.getvalue())
    assert rov.read(tmp_path / "a.json") == snapshot
    assert rov.read(tmp_path / "a.csv") == Snapshot.build(snapshot.ipv4, snapshot.ipv6)
    assert "AS64496,192.0.2.0/24,24,rtr\n" in csv.getvalue()


def compared(*arguments):
    return CliRunner().invoke(main, ["dump", *map(str, arguments)])


def test_diff_with_a_file(cache, tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("ASN,IP Prefix,Max Length,Trust Anchor\nAS64496,198.51.100.0/24,24,x\n")
    ran = compared(cache([BEGIN + ONE_V4 + END]), "--rtr-version", 1, "--diff", path)
    assert ran.exit_code == 1
    assert ran.stdout == "- 192.0.2.0/24-24 AS64496\n+ 198.51.100.0/24-24 AS64496\n"


def test_diff_of_two_caches_that_are_equal(cache):
    one, other = cache([BEGIN + ONE_V4 + END]), cache([], [BEGIN + ONE_V4 + END])
    ran = compared(one, "--rtr-version", 1, "--diff", other)
    assert (ran.exit_code, ran.stdout) == (0, ""), ran.output


def test_diff_with_what_is_not_there(cache, free_port, tmp_path):
    for other, words in ((tmp_path / "none.json", "none.json"), (f"127.0.0.1:{free_port()}", "refused")):
        ran = compared(cache([BEGIN + END]), "--rtr-version", 1, "--diff", other)
        assert ran.exit_code == 2
        assert words in ran.stderr
        assert ran.stdout == ""


# Follow

LATER = "0107000700000018 00000006 00000e10 00000258 00001c20"
GONE = "0104000000000014 00181800 c0000200 0000fbf0"


@pytest.fixture
def happenings(monkeypatch):
    """What a follower tells of a cache, up to so many."""
    monkeypatch.setattr(follow, "FIRST_WAIT", 0.01)

    def take(endpoint, count, **options):
        told = follow.Follower(endpoint, timeout=5, **options).happenings()
        return [next(told) for _ in range(count)]

    return take


def test_follow_goes_on_with_a_serial_query(cache, happenings):
    endpoint = cache([BEGIN + ONE_V4 + END], [BEGIN + GONE + LATER])
    first, dropped, then = happenings(endpoint, 3, version=1)
    assert (first.full, len(first.announced), len(first.withdrawn)) == (True, 1, 0)
    assert dropped.reason == "connection ended: end of file"
    assert (then.full, len(then.announced), len(then.withdrawn), then.serial) == (False, 0, 1, 6)


def test_follow_after_a_cache_reset_tells_the_difference(cache, happenings):
    endpoint = cache([BEGIN + ONE_V4 + END], ["0108000000000008", "0103000900000008 01070009" + LATER[8:]])
    then = happenings(endpoint, 3, version=1)[2]
    assert (then.full, len(then.announced), len(then.withdrawn), then.session_id) == (True, 0, 1, 9)


def test_follow_asks_anew_where_its_serial_query_is_an_error(cache, happenings):
    corrupt = "010a0000 00000010 00000000 00000000"
    endpoint = cache([BEGIN + ONE_V4 + END], [corrupt], [BEGIN + LATER])
    told = happenings(endpoint, 4, version=1)
    assert "corrupt data" in told[2].reason
    assert (told[3].full, len(told[3].withdrawn)) == (True, 1)


def test_follow_finds_the_version_of_an_old_cache(cache, happenings):
    (first,) = happenings(cache([], [BEGIN + END]), 1)
    assert first.version == 1


def test_follow_tells_no_poll_without_news(cache, happenings):
    endpoint = cache([BEGIN + ONE_V4 + END], [BEGIN + END], [BEGIN + GONE + LATER])
    kinds = [type(told).__name__ for told in happenings(endpoint, 4, version=1)]
    assert kinds == ["Step", "Dropped", "Dropped", "Step"]


def test_follow_gives_up_a_cache_that_breaks_the_protocol(cache):
    ran = compared(cache([BEGIN + ONE_V4 + END + GONE]), "--rtr-version", 1, "--follow")
    assert ran.exit_code == 2
    assert "broke the protocol" in ran.stderr
    assert ran.stdout == ""


@pytest.mark.parametrize(
    ("answers", "words"), [([[""]], "no full set within the timeout"), ([[]], "connection ended")]
)
def test_follow_without_a_first_set(cache, answers, words):
    ran = compared(cache(*answers), "--rtr-version", 1, "--follow", "--timeout", 0.3)
    assert ran.exit_code == 2
    assert words in ran.stderr


class Hands:
    """A clock that moves when somebody sleeps by it, and not else."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_follow_drops_what_has_expired(cache, monkeypatch):
    """RFC 8210 §6: 7,200 s after the last End of Data, to the second, while no connection can be had."""
    endpoint, hands = cache([BEGIN + ONE_V4 + END]), Hands()
    told = follow.Follower(endpoint, version=1, clock=hands, sleep=hands.sleep).happenings()
    assert len(next(told).announced) == 1
    assert "ended" in next(told).reason

    def refused(*_, **__):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(socket, "create_connection", refused)
    for happened in told:
        if isinstance(happened, follow.Step):
            break
        assert happened.reason == "Connection refused"
        assert hands.now < 8_200.0
    assert hands.now == 8_200.0
    assert (happened.expired, len(happened.announced), len(happened.withdrawn)) == (True, 0, 1)
    assert "expired: 1 withdrawn" in follow.summary(happened)
    assert '"expired": true' in follow.json_line(happened, "now")


def test_follow_begins_anew_after_expiry(cache, monkeypatch):
    """With a Reset Query; what comes is told as new, though it is what there was."""
    monkeypatch.setattr(follow, "FIRST_WAIT", 8_000.0)
    endpoint, hands = cache([BEGIN + ONE_V4 + END], [BEGIN + ONE_V4 + END]), Hands()
    told = follow.Follower(endpoint, version=1, clock=hands, sleep=hands.sleep).happenings()
    first, dropped, expired, again = (next(told) for _ in range(4))
    assert dropped.seconds == 8_000.0
    assert expired.expired
    assert again.announced == first.announced
    assert (again.full, len(again.withdrawn), hands.now) == (True, 0, 9_000.0)


@pytest.mark.parametrize("options", [["--diff", "x"], ["--output", "x"]])
def test_follow_goes_alone(options):
    assert compared("127.0.0.1:1", "--follow", *options).exit_code == 2
