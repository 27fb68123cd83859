"""The page: whole, alone, and safe whatever the names in it are."""

from html.parser import HTMLParser

import pytest

from rov import Prefix, Snapshot, Vrp, VrpIndex
from rov._render import printed
from rov.audit import judge
from rov.report import DEFAULT, Subject, sections
from rov.report.blocks import Answer, Bars, Grid, percent
from rov.report.html import page
from rov.report.terminal import grid, shown
from rov.rib import RouteColumns, RouteTable

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """The elements of a page; what is not closed in its order is an error."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def subject(routes=True, name="rib.gz"):
    vrps = [Vrp(Prefix.parse("10.0.0.0/8"), 9, 64496), Vrp(Prefix.parse("11.0.0.0/8"), 8, 64497)]
    ipv4 = RouteColumns(4, [10 << 24, 11 << 24], [9, 8], [64496, 64498], [3, 1])
    table = RouteTable(ipv4 if routes else RouteColumns.empty(4), RouteColumns.empty(6))
    return Subject(judge(table, VrpIndex(Snapshot.from_vrps(vrps))), (name,), name, at=0)


@pytest.mark.parametrize("routes", [True, False])
def test_the_page_is_well_formed_and_has_every_section(routes):
    asked = subject(routes)
    found = Outline(page(asked, sections(asked)))
    assert {attrs["id"] for _, attrs in found.elements if "id" in attrs} == set(DEFAULT)


def test_the_page_asks_for_nothing_and_runs_nothing():
    asked = subject()
    text = page(asked, sections(asked))
    found = Outline(text)
    assert not {tag for tag, _ in found.elements} & {"script", "link", "img", "iframe", "object", "base"}
    assert not [attrs for _, attrs in found.elements if "src" in attrs or "style" in attrs]
    assert "url(" not in text
    assert "@import" not in text
    assert all(attrs["href"].startswith("#") for _, attrs in found.elements if "href" in attrs)


def test_names_are_escaped():
    name = "<script>alert(1)</script>\"'&"
    asked = subject(name=name)
    text = page(asked, sections(asked))
    assert "<script" not in text
    assert name in "".join(Outline(text).texts)


def test_bars_of_shares_are_equally_long_on_a_terminal():
    parts = [("valid", "good"), ("invalid", "bad"), ("not found", "open")]
    rows = [("a", [337, 47, 616], ""), ("b", [580, 22, 398], ""), ("c", [1, 1, 1], ""), ("d", [0, 0, 0], "")]
    lines = printed(*shown(Answer("", "", {}, [Bars("", parts, rows)]))).splitlines()
    assert [line.count("█") for line in lines[-4:]] == [24, 24, 24, 0]


def test_next_to_nothing_is_a_number():
    block = Grid("", ["coverage"], [["15.0 %"], [percent(1, 10**9)]])
    assert grid(block).columns[0].justify == "right"


def test_each_bar_is_full_and_says_what_it_shows():
    asked = subject()
    found = Outline(page(asked, sections(asked, ["verdicts"])))
    widths = [float(attrs["width"][:-1]) for tag, attrs in found.elements if tag == "rect"]
    assert sum(widths[:2]) == pytest.approx(100)
    labels = [attrs["aria-label"] for tag, attrs in found.elements if tag == "svg"]
    assert labels[0] == "IPv4 routes: valid: 1 routes (50.0 %), invalid: 1 routes (50.0 %)"
