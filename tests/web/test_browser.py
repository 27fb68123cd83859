"""The looking glass in a real Chromium, on a daemon with everything: sources, archive, RIB, routers.

Needs Debian's chromium and the packages playwright and axe-playwright-python. What the pages look like is
left in build/pages.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import rov
from rov import Aspa, Prefix, Snapshot, Vrp, VrpIndex
from rov.archive import Archive
from rov.audit import judge
from rov.report import Subject, sections
from rov.report.html import page as report_page
from rov.rib import RouteColumns, RouteTable
from tests.web.conftest import vrp_set

ROOT = Path(rov.__file__).parent.parent
SHOTS = ROOT / "build" / "pages"
DAY = 86_400
WAIT = 30_000
"""Milliseconds; machines that run the tests are shared."""

LEAN = ["--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--renderer-process-limit=1"]
"""Of Chromium, what pages of text do not need."""

USUAL = 1_280, 720
"""Pixels of the pages of Playwright, if not told otherwise."""

RESET_QUERY = struct.pack("!BBHI", 1, 2, 0, 8)
SERIAL_QUERY = struct.Struct("!BBHII")

PATHS = {
    "overview": "/",
    "look-up": "/lookup",
    "valid": "/lookup?prefix=193.0.14.0/24&asn=25152",
    "invalid": "/lookup?prefix=193.0.14.0/25&asn=25152",
    "depends": "/lookup?prefix=2001:67c::/32",
    "address": "/lookup?prefix=193.0.14.129&asn=64511",
    "as": "/asn/25152",
    "bad": "/lookup?prefix=193.0.14.0/99&asn=banana",
}

ROUTES = """prefix,origin,peers
193.0.14.0/24,25152,41
193.0.14.0/24,64511,1
193.0.0.0/21,3333,40
193.0.14.0/25,25152,2
198.97.190.0/24,25152,3
2001:67c:10::/48,25152,17
"""


def rows(expires, *more):
    return vrp_set(
        ("193.0.14.0/24", 24, 25152, expires, 0),
        ("193.0.0.0/20", 21, 3333, expires + 5_000, 0),
        ("2001:67c::/32", 48, 25152, expires, 0),
        ("203.119.0.0/16", 24, 4608, expires, 1),
        *more,
        trust_anchors=("ripe", "apnic"),
        aspas=[Aspa(25152, (3333, 12654))],
    )


class Glass:
    """The daemon, and the files that it reads."""

    def __init__(self, folder, free_port):
        self.folder, self.http, self.rtr = folder, free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.expires = int(time.time()) + 9 * 3_600
        self._past()
        self.give("one", rows(self.expires))
        self.give("two", rows(self.expires, ("198.97.190.0/24", 24, 1508, self.expires, 0)))
        (folder / "rib.csv").write_text(ROUTES)
        sources = "".join(
            f'[[source]]\ntype = "file"\npath = "{name}.json"\nname = "{name}"\n' for name in ("one", "two")
        )
        (folder / "c.toml").write_text(
            f'[[listen]]\naddress = "127.0.0.1:{self.rtr}"\n{sources}[policy]\ncombine = "union"\n'
            f'[state]\ndirectory = "state"\n[guard]\nleast = 5\nmax_loss = "50%"\n'
            f'[http]\nlisten = ["127.0.0.1:{self.http}"]\nrib = ["rib.csv"]\n'
        )

    def _past(self):
        """Three weeks in the archive, in which the set grew and one route went for a day."""
        now = int(time.time())
        with Archive(self.folder / "state" / "history") as archive:
            for day in range(21, 0, -1):
                more = [(f"203.{number}.0.0/16", 24, 4608, 0, 1) for number in range(21 - day)]
                snapshot = rows(0, *more)
                if day == 2:
                    snapshot -= vrp_set(("193.0.14.0/24", 24, 25152))
                archive.append(
                    snapshot, time=now - day * DAY, serial=100 - day, source="one", why="set loaded"
                )

    def give(self, name, snapshot):
        path = self.folder / f"{name}.json"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(b"".join(rov.encode(snapshot, "json", at=int(time.time()))))
        os.replace(fresh, path)

    @contextlib.contextmanager
    def running(self):
        """The daemon has been started: gives what returns once it serves."""
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rtr_server", "serve", "--config", str(self.folder / "c.toml")],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            yield lambda: process.stdout.readline().startswith("Serving")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)


@pytest.fixture(scope="module")
def glass(request, tmp_path_factory, free_port):
    made = Glass(tmp_path_factory.mktemp("glass"), free_port)
    with made.running() as serving:
        request.getfixturevalue("browser")  # starts in the meantime
        assert serving(), (made.folder / "log").read_text()
        yield made


@pytest.fixture(scope="module")
def browser(program, missing):
    try:
        import axe_playwright_python  # noqa: F401
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        missing(str(error))
    chromium = program("chromium")
    arguments = [*LEAN, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def look(browser, glass):
    """A page in a context of its own. What the console says of errors fails the test."""
    contexts, wrong = [], []

    def open_page(name="", expected=200, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("request", lambda asked: None if asked.url.startswith(glass.url) else wrong.append(asked.url))
        if name:
            assert page.goto(glass.url + PATHS[name]).status == expected
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [each for each in wrong if "status of 400" not in each] == []


@contextlib.contextmanager
def router(glass):
    """One that has taken the whole set."""
    with socket.create_connection(("127.0.0.1", glass.rtr), timeout=30) as connection:
        connection.sendall(RESET_QUERY)
        stream = connection.makefile("rb")
        while True:
            version, kind, session, length = struct.unpack("!BBHI", stream.read(8))
            rest = stream.read(length - 8)
            if kind == 7:
                break

        def ask_again():
            connection.sendall(SERIAL_QUERY.pack(version, 1, session, 12, int.from_bytes(rest[:4], "big")))

        yield ask_again


def test_every_page(look, glass):
    """axe-core finds nothing in light; dark differs in colours; phones and wide screens need no scrolling.

    Each page is loaded once for all of that. Pictures are kept.
    """
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    SHOTS.mkdir(parents=True, exist_ok=True)
    page = look(color_scheme="light")

    def violations(rules=None):
        options = {"resultTypes": ["violations"], **(rules or {})}
        found = axe.run(page, options=options).response["violations"]
        return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]

    def taken(name):
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    width = "document.documentElement.scrollWidth"
    with router(glass):
        for name, path in PATHS.items():
            page.goto(glass.url + path)
            taken(f"{name}-light")
            assert violations() == [], name
            page.emulate_media(color_scheme="dark")
            taken(f"{name}-dark")
            assert violations({"runOnly": ["color-contrast"]}) == [], name
            page.emulate_media(color_scheme="light")
            for size, height in ((360, 740), (2_560, 1_300), USUAL):
                page.set_viewport_size({"width": size, "height": height})
                assert page.evaluate(width) == size, name
                if size == 360:
                    taken(f"{name}-phone")


def within(place, width):
    """It is seen as a whole on a screen of this width."""
    box = place.bounding_box() or place.bounding_box()  # the live view may just put another in its place
    assert 0 <= box["x"] < box["x"] + box["width"] <= width


def test_a_phone(look):
    page = look("invalid", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    why = page.locator("#vrps td[data-label=Why]").first
    assert "too specific" in why.inner_text()
    within(why, 360)


OVERFLOWING = """() => [...document.querySelectorAll(".bars text")].filter(text =>
    getComputedStyle(text).display !== "none" && text.getBoundingClientRect().width >
    text.previousElementSibling.getBoundingClientRect().width).map(text => text.textContent)"""


def test_shares_have_room_in_their_bars(browser):
    """The report of an audit: a share that a narrow screen has no room for is not written."""
    count = 100
    addresses = [n << 16 for n in range(count)]
    vrps = [Vrp(Prefix(4, address, 16), 16, 1 if n < 80 else 2) for n, address in enumerate(addresses[:91])]
    ipv4 = RouteColumns(4, addresses, [16] * count, [1] * count, [1] * count)
    cut = [f"/var/spool/{'rib' * 30}.{n}.bz2: the bzip2 data is cut short" for n in range(2)]
    table = RouteTable(ipv4, RouteColumns.empty(6), warnings=cut)
    asked = Subject(judge(table, VrpIndex(Snapshot.from_vrps(vrps))), ("rib",), "vrps", at=0)
    text = report_page(asked, sections(asked, ["verdicts"]))
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.set_content(text)
        for width, shown in ((320, 1), (641, 1), (1280, 3)):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate(OVERFLOWING) == [], width
            assert page.evaluate("document.documentElement.scrollWidth") == width, "two warnings fit as well"
            assert page.locator(".bars svg").first.locator("text:visible").count() == shown, width


def test_routers_and_sources_on_a_phone(look, glass):
    """No column is off the screen: each row is a card."""
    page = look("overview", viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    with router(glass):
        page.locator("#sessions tbody tr", has_text="up to date").wait_for()
        for table, last in (("sessions", "Last error"), ("sources", "Remarks")):
            within(page.locator(f"#{table} td[data-label='{last}']").first, 360)


@pytest.mark.parametrize("script", [True, False], ids=["with script", "without script"])
def test_look_up(look, glass, script):
    page = look("overview", java_script_enabled=script)
    page.get_by_label("Prefix or address").fill("193.0.14.0/25")
    page.get_by_label("AS number").fill("25152")
    page.get_by_role("button", name="Look up").click()
    assert page.url == f"{glass.url}/lookup?prefix=193.0.14.0%2F25&asn=25152"
    assert page.get_by_role("heading", level=1).inner_text() == "Invalid: 193.0.14.0/25 from AS25152"
    table = page.get_by_role("table", name="VRPs that cover 193.0.14.0/25, and why each matches or not")
    cells = table.get_by_role("row").nth(1).get_by_role("cell").all_inner_texts()
    assert cells[:5] == [
        "193.0.14.0/24",
        "/24",
        "AS25152",
        "✕no",
        "Origin matches, but too specific: /25, and it allows /24 only.",
    ]
    assert cells[5:7] == ["ripe", "one, two"]
    assert "in 8 h" in cells[7] or "in 9 h" in cells[7]
    page.get_by_text("For the routers of this cache alone").click()
    assert '"maxPrefixLength": 25' in page.locator("pre").inner_text()
    table.get_by_role("link", name="AS25152").click()
    assert page.get_by_role("heading", level=1).inner_text() == "AS25152"
    assert page.locator("#suggested td").first.inner_text() == "193.0.14.0/25"


def test_an_address_to_share_shows_the_same(look, glass):
    page = look("valid")
    page.get_by_role("link", name="/lookup?prefix=193.0.14.0/24&asn=AS25152").click()
    assert page.get_by_label("Prefix or address").input_value() == "193.0.14.0/24"
    assert page.get_by_role("heading", level=1).inner_text() == "Valid: 193.0.14.0/24 from AS25152"
    page.goto(f"{glass.url}/prefix/193.0.14.0/24?asn=25152")
    assert page.get_by_role("heading", level=1).inner_text() == "Valid: 193.0.14.0/24 from AS25152"
    changes = page.locator("#history tbody tr")
    assert changes.count() == 2, "it went for a day, and came again"
    assert "− withdrawn 193.0.14.0/24-24 AS25152" in changes.nth(1).inner_text()
    assert page.locator("svg.strip rect").count() == 3


def test_what_is_wrong_is_said_and_the_form_is_kept(look):
    page = look("bad", expected=400)
    assert "expected AS64496 or 64496" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Prefix or address").input_value() == "193.0.14.0/99"
    assert page.get_by_label("AS number").input_value() == "banana"


def test_the_keyboard(look, glass):
    page = look("overview")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    assert skip.evaluate("each => each === document.activeElement && each.getBoundingClientRect().top >= 0")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.goto(glass.url)
    seen = []
    for _ in range(7):
        page.keyboard.press("Tab")
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        seen.append(
            page.evaluate(f"[document.activeElement.textContent.trim() || document.activeElement.id, {ring}]")
        )
    assert [name for name, _ in seen[1:]] == [
        "rovkit looking glass",
        "Overview",
        "Look-up",
        "prefix",
        "asn",
        "Look up",
    ]
    assert {ring for _, ring in seen} == {"solid"}
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("as25152")
    page.keyboard.press("Enter")
    page.wait_for_url("**/asn/25152")
    region = page.get_by_role("region", name="VRPs of AS25152")
    region.focus()
    assert region.evaluate("each => each === document.activeElement"), "tables can be scrolled by keys"


def test_without_script_the_overview_has_everything(look):
    page = look("overview", java_script_enabled=False)
    assert "5 VRPs are served" in page.locator("p.lead").inner_text()
    assert page.locator("#live").is_hidden()
    assert page.locator("#sources tbody tr").count() == 2
    assert page.locator("#differences tbody tr").all_inner_texts() == [
        "one\t0\t",
        "two\t1\t198.97.190.0/24-24 AS1508",
    ]


def test_the_overview_lives(look, glass):
    """Routers come, fall behind and go; a set comes, another is held: all without a reload."""
    page = look("overview")
    page.evaluate("document.body.dataset.same = 'yes'")
    page.locator("#live[data-state=on]").wait_for()
    assert page.get_by_text("No router is connected.").is_visible()
    with router(glass) as ask_again:
        page.locator("#sessions tbody tr", has_text="up to date").wait_for()
        before = page.locator("#updates tbody tr").count()
        glass.give(
            "two",
            rows(
                glass.expires,
                ("198.97.190.0/24", 24, 1508, glass.expires, 0),
                ("192.5.4.0/23", 24, 3557, glass.expires, 1),
            ),
        )
        page.locator("#sessions tbody tr", has_text="1 serial behind").wait_for()
        assert page.locator("#updates tbody tr").count() == before + 1
        assert "VRPs: 1 announced, 0 withdrawn, 6 in all." in page.get_by_role("status").text_content()
        page.screenshot(path=SHOTS / "behind-light.png", full_page=True)
        ask_again()
        page.locator("#sessions tbody tr", has_text="up to date").wait_for()
        tables = page.locator("#anchors tbody tr").all_inner_texts()
        assert [row.split("\t")[:2] for row in tables] == [["ripe", "4"], ["apnic", "2"]]
    page.get_by_text("No router is connected.").wait_for()
    page.locator("#ended summary").click()
    glass.give("one", vrp_set(("192.5.4.0/23", 24, 3557, glass.expires, 0)))
    glass.give("two", vrp_set(("192.5.4.0/23", 24, 3557, glass.expires, 0)))
    page.get_by_text("An update is held by the guard").wait_for()
    page.screenshot(path=SHOTS / "held-light.png", full_page=True)
    assert page.locator("#ended-sessions").is_visible(), "what was opened stays open"
    assert page.evaluate("document.body.dataset.same") == "yes", "never loaded anew"
    held = json.loads(page.request.get(f"{glass.url}/api/v1/sources").text())["update"]["held"]
    assert f"take {held['losses']['lost']} of" in page.locator(".alert").inner_text()
