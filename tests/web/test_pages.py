"""The looking glass without a browser: what each page says and what it refuses."""

import asyncio
import re
import time

import pytest

from rov import archive, slurm
from rov.archive import Archive
from rtr_server.feed.feed import FeedError
from rtr_server.web.pages import past
from tests.web.conftest import SMALL, vrp_set

ROUTES = b"""prefix,origin,peers
192.0.2.0/24,64496,9
192.0.2.128/25,64499,1
192.0.0.0/16,64500,4
203.0.113.0/24,64496,6
2001:db8::/32,64496,7
"""
DAY = 86_400
NO_GUARD = {"guard": {"enabled": False}}


@pytest.fixture(scope="module")
def glass(run_daemon, tmp_path_factory):
    """A daemon with SMALL and a RIB."""
    dump = tmp_path_factory.mktemp("rib") / "rib.csv"
    dump.write_bytes(ROUTES)
    with run_daemon(SMALL, {"http": {"rib": [str(dump)]}}) as running:
        running.until(lambda: running.daemon.rib.table is not None)
        yield running


def text_of(answer):
    """The words of a page."""
    bare = re.sub(r"<[^>]*>", " ", answer.text)
    return re.sub(r"\s+", " ", bare.replace("&#39;", "'").replace("&gt;", ">").replace("&amp;", "&"))


def pages_of(running):
    return [(path, running.client.get(path)) for path in PATHS]


PATHS = (
    "/",
    "/lookup",
    "/lookup?prefix=192.0.2.0/24&asn=64496",
    "/lookup?prefix=192.0.2.0/24&asn=64511",
    "/lookup?prefix=192.0.2.1&asn=64496",
    "/lookup?prefix=2001:db8::1",
    "/lookup?prefix=10.0.0.0/8",
    "/asn/64496",
    "/asn/0",
    "/asn/4294967295",
    "/asn/x",
)


def test_nothing_inline_and_nothing_from_outside(glass):
    for path, answer in pages_of(glass):
        assert answer.headers["content-type"] == "text/html; charset=utf-8", path
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?! src=\"/static/)", answer.text), path
        assert set(re.findall(r"(?:src|href|action)=\"([a-z]+:|//)", answer.text)) == set(), path
        assert len(re.findall("<h1", answer.text)) == 1, path


def test_static_files(glass):
    page = glass.client.get("/").text
    for address in re.findall(r"(?:src|href)=\"(/static/[^\"]+)", page):
        answer = glass.client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        tag = {"If-None-Match": answer.headers["etag"]}
        assert glass.client.get(address, headers=tag).status_code == 304
        assert "http" not in answer.text.replace("http://www.w3.org/2000/svg", "")
    assert glass.client.get("/static/style.css?v=old").headers["cache-control"] == "no-cache"
    assert glass.client.get("/static/../app.py").status_code == 404


@pytest.mark.parametrize(
    ("question", "title", "said"),
    [
        (
            "192.0.2.0/24&asn=64496",
            "Valid: 192.0.2.0/24 from AS64496",
            "Matches: AS64496, and /24 lies within /24 to /26.",
        ),
        ("192.0.2.0/24&asn=64496", "Valid:", "Origin differs: for AS64497, not AS64496."),
        (
            "192.0.2.0/25&asn=64497",
            "Invalid: 192.0.2.0/25 from AS64497",
            "Origin matches, but too specific: /25, and it allows /24 only.",
        ),
        ("192.0.2.0/25&asn=64511", "Invalid:", "for AS64497, not AS64511; and too specific: /25"),
        ("192.0.2.0/24&asn=0", "Invalid:", "AS 0 stands for no origin"),
        ("198.51.100.0/24&asn=1", "Invalid:", "For AS 0: nobody may announce it."),
        ("198.51.100.0/24", "Invalid: 198.51.100.0/24 from any AS", "none of them allows any AS"),
        ("10.0.0.0/8&asn=1", "Not found: 10.0.0.0/8 from AS1", "No VRP covers 10.0.0.0/8."),
        ("10.0.0.0/8", "Not found: 10.0.0.0/8 from any AS", "None. The holder of the prefix has made no ROA"),
        (
            "192.0.2.0/24",
            "192.0.2.0/24 depends on the origin",
            "Valid from AS64496 or AS64497, invalid from any other AS.",
        ),
        (
            "192.0.2.77/25&asn=64496",
            "Valid: 192.0.2.0/25",
            "192.0.2.77/25 has host bits set: this is the answer for 192.0.2.0/25.",
        ),
        ("192.0.2.0/24+AS64496", "Valid: 192.0.2.0/24 from AS64496", "apnic"),
        (
            "192.0.2.1",
            "Valid: 192.0.2.0/24 from AS64496",
            "This is the most specific route to 192.0.2.1 in the loaded RIB.",
        ),
        ("93.175.147.9&asn=196615", "93.175.147.9 depends on the announcement", "/25 to /32 ✕ Invalid no AS"),
        ("2001:db8::1", "Valid: 2001:db8::/32 from AS64496", "/32 to /48 ? depends on the origin AS64496"),
        ("11.1.1.1", "Not found: 11.1.1.1", "No VRP covers 11.1.1.1."),
    ],
)
def test_look_up(glass, question, title, said):
    answer = glass.client.get(f"/lookup?prefix={question}")
    assert answer.status_code == 200
    assert f'<h1 id="h-verdict">{title}' in answer.text
    assert said in text_of(answer)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("192.0.2.0/24&asn=64496", "One VRP matches. No time of expiry is stated"),
        ("192.0.2.0/27&asn=64496", "A ROA for 192.0.2.0/27 by AS64496"),
        ("192.0.2.0/27&asn=64496", "Or AS64496 announces what it may: 192.0.2.0/24 (up to /26)."),
        ("192.0.2.0/24&asn=64511", "it allows AS64496 or AS64497"),
        ("198.51.100.0/24&asn=1", "The VRP for AS 0 may stay"),
        ("192.0.0.0/16&asn=64500", "No announced route would become invalid by it."),
        ("203.0.113.0/24&asn=64500", "1 announced route would become invalid 203.0.113.0/24 from AS64496"),
        ("192.0.2.0/24&asn=0", "Nothing: AS 0 stands for no origin"),
    ],
)
def test_what_would_make_it_valid(glass, question, said):
    assert said in text_of(glass.client.get(f"/lookup?prefix={question}"))


def test_a_vrp_of_a_local_exception_is_told_as_such(run_daemon):
    added = vrp_set(("192.0.2.0/24", 24, 64496), trust_anchors=(slurm.TRUST_ANCHOR,))
    with run_daemon(added) as running:
        found = text_of(running.client.get("/lookup?prefix=192.0.2.0/24&asn=64496"))
        assert "slurm a local exception not stated" in found
        assert "A local exception of this cache makes it valid, for as long as it is there." in found
        other = text_of(running.client.get("/lookup?prefix=192.0.2.0/24&asn=1"))
        assert "made by the holder of the prefix." in other


def test_related_routes(glass):
    found = text_of(glass.client.get("/lookup?prefix=192.0.2.0/24&asn=64496"))
    assert "192.0.2.0/24 AS64496 ✓ Valid a VRP matches 9" in found
    assert "192.0.0.0/16 AS64500 ? Not found no VRP covers it 4" in found
    assert "192.0.2.128/25 AS64499 ✕ Invalid VRPs of other ASes only" in found
    assert "5 routes in the RIB" in found


def test_without_a_rib_pages_say_so(small):
    for path in ("/lookup?prefix=192.0.2.0/24&asn=64496", "/asn/64496"):
        assert "No RIB is loaded: [http] rib names the dumps" in text_of(small.client.get(path)).replace(
            "  ", " "
        )


def test_the_page_of_an_as(glass):
    found = text_of(glass.client.get("/asn/64496"))
    for said in (
        "Announced routes 3",
        "AS64496 names as its providers: AS64499 , AS64511 .",
        "203.0.113.0/24 ? Not found",
        "M7RPKI is 66.7 %: (valid − 10 × invalid) / routes = (2 − 10 × 0) / 3",
        "aspiring",
        "192.0.2.0/24 /24 to /26 ripe not stated",
        "BGPsec router keys 1 000102030405060708090A0B0C0D0E0F10111213",
    ):
        assert said in found, said
    assert "AS64499 has none" in text_of(glass.client.get("/asn/64499"))
    assert "It is named as a provider by: AS64496" in text_of(glass.client.get("/asn/AS64499"))


def test_suggested_roas(run_daemon, tmp_path):
    dump = tmp_path / "rib.csv"
    dump.write_bytes(b"prefix,origin\n8.8.8.0/24,15169\n8.8.8.128/25,64500\n9.9.9.0/24,15169\n")
    with run_daemon(SMALL, {"http": {"rib": [str(dump)]}}) as running:
        running.until(lambda: running.daemon.rib.table is not None)
        found = text_of(running.client.get("/asn/15169"))
        assert "8.8.8.0/24 /24 not found 1 1 ! look first" in found
        assert "9.9.9.0/24 /24 not found 1 0 ✓ yes" in found
        assert "A: 9.9.9.0/24 => 15169" in found


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/lookup?prefix=192.0.2.0/33", "'192.0.2.0/33': expected a prefix such as 192.0.2.0/24"),
        ("/lookup?prefix=banana", "expected a prefix such as"),
        ("/lookup?prefix=fe80::1%25eth0", "expected a prefix such as"),
        ("/lookup?prefix=1.1.1.0/24&asn=AS4294967296", "expected AS64496 or 64496, 0 to 4294967295"),
        ("/lookup?prefix=1.1.1.0/24+1+2", "one of each at most"),
        ("/lookup?prefix=1.1.1.0/24&prefix=1.1.1.0/24", "expected each at most once"),
        ("/lookup?colour=red", "query argument 'colour': expected prefix, asn, days"),
        ("/lookup?prefix=1.1.1.0/24&days=8", "days: expected 7, 30, 90"),
        ("/asn/banana", "ASN 'banana': expected AS64496 or 64496"),
        ("/?x=1", "expected no arguments"),
        (f"/lookup?prefix={'9' * 5000}", "expected a prefix such as"),
        ("/lookup?prefix=%00%ff%3Cscript%3E", "expected a prefix such as"),
    ],
)
def test_bad_questions_get_a_page_that_says_what_was_expected(small, path, said):
    answer = small.client.get(path)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert said in text_of(answer)
    assert "<script>" not in answer.text


def test_the_form_is_kept(small):
    page = small.client.get('/lookup?prefix="><b>192.0.2.0/99&asn=banana').text
    assert 'value="&#34;&gt;&lt;b&gt;192.0.2.0/99"' in page
    assert 'value="banana"' in page
    assert 'value="banana"' in small.client.get("/asn/banana").text


def test_other_addresses_lead_to_the_same_page(small):
    for path, status, target in (
        ("/lookup?asn=AS64496", 303, "/asn/64496"),
        ("/lookup?prefix=64496", 303, "/asn/64496"),
        ("/lookup?asn=192.0.2.0/24", 200, None),
        ("/prefix/192.0.2.0/24?asn=64496", 308, "/lookup?prefix=192.0.2.0/24&asn=64496"),
        ("/prefix/2001:db8::/32", 308, "/lookup?prefix=2001:db8::/32"),
        ("/prefix//evil.example", 308, "/lookup?prefix=/evil.example"),
    ):
        answer = small.client.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers.get("location")) == (status, target)
    assert small.client.post("/lookup").status_code == 405
    assert small.client.head("/").status_code == 200


def test_without_data(run_daemon):
    with run_daemon(FeedError("down", temporary=True)) as running:
        assert "No data yet" in text_of(running.client.get("/"))
        answer = running.client.get("/lookup?prefix=192.0.2.0/24")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "There is no answer yet" in text_of(answer)


def test_the_overview(run_daemon):
    with run_daemon(vrp_set(*(("10.0.0.0/8", 8, asn) for asn in range(1, 1235))), NO_GUARD) as running:
        assert "All is well. 1,234 VRPs are served" in text_of(running.client.get("/"))
        running.load(vrp_set(("10.0.0.0/8", 8, 1), ("10.0.0.0/8", 8, 2), ("11.0.0.0/8", 8, 1)))
        found = text_of(running.client.get("/"))
        assert f"Serial {running.daemon.served.serial} since" in found
        assert "set loaded +1 −1,232 3" in found
        assert "N/A 3 100.0 % −1,231" in found


@pytest.mark.parametrize(
    ("age", "action", "said"),
    [
        (
            4_000,
            "keep",
            "Data are stale They are 66 min old, and the limit is 60 min; beyond it they are served",
        ),
        (2_000, "withdraw", "Data are getting old"),
        (4_000, "withdraw", "The set is empty"),
        (4_000, "close", "Data are withheld"),
    ],
)
def test_stale_data_are_said_first(run_daemon, age, action, said):
    stale = {"stale": {"after": "1h", "action": action}}
    with run_daemon(SMALL, stale, as_of=int(time.time()) - age) as running:
        if said == "The set is empty":
            running.until(lambda: not running.daemon.served.snapshot)
        if action == "close":
            running.until(lambda: running.cache.updates.current.withheld)
            assert running.client.get("/lookup?prefix=192.0.2.0/24").status_code == 503
        assert said in text_of(running.client.get("/"))


def test_a_held_update_is_said_with_what_to_do(run_daemon):
    with run_daemon(SMALL, {"guard": {"least": 1}}) as running:
        running.loop.call_soon_threadsafe(running.feed.tell, vrp_set(("192.0.2.0/24", 24, 64497)))
        running.until(lambda: running.cache.updates.held is not None)
        found = text_of(running.client.get("/"))
        assert "An update is held by the guard" in found
        assert "It would take 4 of 5 VRPs away. The last set stays in service." in found
        assert "rtr-server update show | accept | reject" in found


def test_history_since_the_start(run_daemon):
    match, other = ("192.0.2.0/24", 24, 64496), ("192.0.2.0/24", 24, 64497)
    far = ("10.0.0.0/8", 8, 1)
    with run_daemon(vrp_set(match, far)) as running:
        for rows in ((match, other, far), (other, far), (far,)):
            running.load(vrp_set(*rows))
        found = text_of(running.client.get("/lookup?prefix=192.0.2.0/24&asn=64496"))
        newest = found.index("✕ Invalid → became ? Not found − withdrawn 192.0.2.0/24-24 AS64497")
        assert newest < found.index("✓ Valid → became ✕ Invalid − withdrawn 192.0.2.0/24-24 AS64496")
        assert found.count("became") == 2
        found = text_of(running.client.get("/lookup?prefix=192.0.2.0/24"))
        assert found.count("− withdrawn") == 2
        assert "+ announced 192.0.2.0/24-24 AS64497" in found
        assert "have not changed" in text_of(running.client.get("/lookup?prefix=10.0.0.0/8"))


@pytest.fixture
def archived(tmp_path):
    """A state directory whose archive has five days, one set each."""
    now = int(time.time())
    with Archive(tmp_path / "history") as writer:
        for day, rows in (
            (40, ()),
            (20, (("192.0.2.0/24", 24, 1),)),
            (3, (("192.0.2.0/24", 24, 64496),)),
            (1, ()),
        ):
            snapshot = vrp_set(*rows, ("10.0.0.0/8", 8, 1), trust_anchors=("ripe",))
            writer.append(snapshot, time=now - day * DAY, serial=100 - day, source="x", why="poll")
    return tmp_path


def test_history_from_the_archive(run_daemon, archived):
    with run_daemon(SMALL, {"state": {"directory": str(archived)}} | NO_GUARD) as running:
        question = "/lookup?prefix=192.0.2.0/24&asn=64496"
        found = text_of(running.client.get(question))
        assert "from the archive and the updates since the start" in found
        assert "✓ Valid → became ? Not found" in found
        assert "✕ Invalid → became ✓ Valid" in found
        assert "? Not found → became ✕ Invalid" not in found
        assert "? Not found → became ✕ Invalid" in text_of(running.client.get(f"{question}&days=30"))
        running.load(vrp_set(("192.0.2.0/24", 24, 1), ("10.0.0.0/8", 8, 1)))
        assert "✓ Valid → became ✕ Invalid" in text_of(running.client.get(question))
        running.client.get("/")
        running.until(lambda: not overview_of(running)._growth.reading)
        points = running.call(lambda: overview_of(running)._growth.points(running.daemon.served))
        assert [sum(point.vrps.values()) for point in points] == [1, 2, 2, 1, 5, 2]


def overview_of(running):
    """The one overview of a daemon, by the owner of its live view."""
    return running.cache.http._web._pages.live._make.__self__


def test_a_damaged_archive_is_said(run_daemon, archived):
    for path in (archived / "history").glob("*.rovlog"):
        path.write_bytes(path.read_bytes()[:-3] + b"xxx")
        path.chmod(0o644)
    (archived / "history" / "00000009-5.rovlog").mkdir()
    with run_daemon(SMALL, {"state": {"directory": str(archived)}}) as running:
        found = text_of(running.client.get("/lookup?prefix=192.0.2.0/24&asn=64496"))
        assert "The archive cannot be read:" in found
        assert "Valid: 192.0.2.0/24 from AS64496" in found


def test_an_archive_that_does_not_answer_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(past, "WAIT", 0.0)
    with pytest.raises(past.PastError, match="did not answer"):
        asyncio.run(past.ask(tmp_path, "counts"))


def test_the_archive_is_read_once_for_all_who_ask_the_same(run_daemon, archived, monkeypatch):
    asked = []
    real = past.ask

    async def ask(*question):
        asked.append(question)
        return await real(*question)

    monkeypatch.setattr(past, "ask", ask)
    with run_daemon(SMALL, {"state": {"directory": str(archived)}}) as running:
        for _ in range(3):
            running.client.get("/lookup?prefix=192.0.2.0/24&asn=64496")
    assert len(asked) == 1


def test_a_browser_gives_the_token_as_a_password(run_daemon, tmp_path):
    (tmp_path / "token").write_text("0123456789abcdef")
    with run_daemon(SMALL, {"http": {"token": str(tmp_path / "token")}}) as running:
        answer = running.client.get("/")
        assert answer.status_code == 401
        assert any(each.startswith("Basic") for each in answer.headers.get_list("www-authenticate"))
        assert running.client.get("/", auth=("anybody", "0123456789abcdef")).status_code == 200
        assert running.client.get("/", auth=("0123456789abcdef", "x")).status_code == 401
        for wrong in ("Basic", "Basic !!!", "Basic eA==", "Digest x"):
            assert running.client.get("/", headers={"Authorization": wrong}).status_code == 401


def test_the_reader_of_archives_says_what_is_wrong(tmp_path):
    with pytest.raises(past.PastError, match="cannot be read"):
        asyncio.run(past.ask(tmp_path / "none", "counts"))
    assert archive.History(tmp_path) is not None
