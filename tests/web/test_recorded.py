"""What a Routinator answered, as record_routinator.py kept it, beside our answers to the same requests."""

import base64
import json
import re

import pytest

from rov import RouterKey
from tests.web.conftest import vrp_set
from tests.web.record_routinator import RECORD

EXCHANGES = json.loads(RECORD.read_text())["exchanges"]
ADDED = json.loads(RECORD.read_text())["assertions"]["locallyAddedAssertions"]

TIME = re.compile(r"\d{4}-\d\d-\d\d[T ][0-9:.]+(?:Z|\+00:00| UTC)")

OF_THE_RUN = {"generated", "generatedTime", "session", "serial"}

OTHERWISE = {
    "/csv?exclude=nonsense": (200, 400, "what it passes over, we refuse"),
}
"""Where the status is another one: theirs, ours, why."""

STATUS = ("/status", "/api/v1/status", "/version")
"""Answers about the program itself: their names are compared, not their values."""

SOURCED = ("/jsonext", "/csvext")
"""Answers that tell where a VRP is from, which is a local file there and a ROA here."""


def exchange_id(one):
    return f"{one['method']} {one['path']} {one.get('body', '')[:30]}".strip()


@pytest.fixture(scope="module")
def recorded(run_daemon):
    """A daemon with the set that the Routinator had."""
    rows = [
        (row["prefix"], row.get("maxPrefixLength", int(row["prefix"].partition("/")[2])), row["asn"])
        for row in ADDED["prefixAssertions"]
    ]
    keys = [
        RouterKey(row["asn"], octets(row["SKI"]), octets(row["routerPublicKey"]))
        for row in ADDED["bgpsecAssertions"]
    ]
    with run_daemon(vrp_set(*rows, trust_anchors=("N/A",), router_keys=keys)) as running:
        yield running


def octets(text):
    return base64.urlsafe_b64decode(text + "==")


def asked(recorded, one):
    sent = {"headers": one.get("headers"), "content": one.get("body")}
    return recorded.client.request(one["method"], one["path"], **sent)


GIVEN = [
    one for one in EXCHANGES if one["status"] == 200 and one["path"] not in (*OTHERWISE, *STATUS, *SOURCED)
]
REFUSED = [one for one in EXCHANGES if one["status"] != 200]


@pytest.mark.parametrize("one", GIVEN, ids=exchange_id)
def test_answers(recorded, one):
    """Status, type, and all that is in the answer; the order of the elements of a set is nobody's concern."""
    ours = asked(recorded, one)
    assert (ours.status_code, media_type(ours.headers["content-type"])) == (200, media_type(one["type"]))
    assert normal(ours.text) == normal(one["answer"])


def media_type(text):
    return [part.strip() for part in text.split(";")]


def normal(text):
    if text.startswith("{"):
        return ordered(json.loads(text))
    return sorted(TIME.sub("TIME", line).rstrip() for line in text.splitlines())


def ordered(value):
    if isinstance(value, dict):
        if "maxPrefixLength" not in value and {"prefix", "comment"} <= value.keys():
            # of an assertion it may be left out, and is here wherever it says nothing more
            value = value | {"maxPrefixLength": int(value["prefix"].partition("/")[2])}
        return {name: ordered(member) for name, member in value.items() if name not in OF_THE_RUN}
    return sorted(map(ordered, value), key=repr) if isinstance(value, list) else value


@pytest.mark.parametrize("one", REFUSED, ids=exchange_id)
def test_refusals(recorded, one):
    """The same status; what is wrong is a problem document here, with the member error that theirs has."""
    ours = asked(recorded, one)
    theirs, expected, _ = OTHERWISE.get(one["path"], (one["status"], one["status"], ""))
    assert (one["status"], ours.status_code) == (theirs, expected)
    assert isinstance(ours.json()["error"], str)


def test_what_is_refused_here_only(recorded):
    one = next(one for one in EXCHANGES if one["path"] == "/csv?exclude=nonsense")
    theirs, expected, _ = OTHERWISE[one["path"]]
    assert (one["status"], asked(recorded, one).status_code) == (theirs, expected)


@pytest.mark.parametrize("path", SOURCED)
def test_sources(recorded, path):
    """The same elements; where they are from is left out."""
    one = next(one for one in EXCHANGES if one["path"] == path)
    ours = asked(recorded, one)
    assert media_type(ours.headers["content-type"]) == media_type(one["type"])
    if path == "/csvext":
        assert elements(ours.text) == elements(one["answer"])
        return
    theirs = one_without_sources(json.loads(one["answer"]))
    assert ordered(one_without_sources(ours.json())) == ordered(theirs)


def elements(text):
    return sorted(line.split(",")[1:4] for line in text.splitlines())


def one_without_sources(body):
    return {
        section: [{name: member for name, member in row.items() if name != "source"} for row in rows]
        for section, rows in body.items()
        if section != "metadata"
    }


@pytest.mark.parametrize("path", STATUS[:2])
def test_names_of_the_status(recorded, path):
    """Each name of the status page is there."""
    one = next(one for one in EXCHANGES if one["path"] == path)
    ours = asked(recorded, one)
    assert media_type(ours.headers["content-type"]) == media_type(one["type"])
    assert names(one["answer"]) <= names(ours.text)


def test_lines_of_the_status(recorded):
    """Word for word, but for the numbers: tools read it line by line."""
    one = next(one for one in EXCHANGES if one["path"] == "/status")
    theirs, ours = (shape(text) for text in (one["answer"], asked(recorded, one).text))
    assert [line for line in ours if line in theirs] == theirs


def shape(text):
    """The lines without their numbers, names of programs and trust anchors."""
    lines = re.sub(r"routinator|rovkit|(?<=-per-tal:).*", "", text).splitlines()
    return [re.sub(r"\d+(\.\d+)*", "N", line).strip() for line in lines]


def names(text):
    if text.startswith("{"):
        return set(json.loads(text))
    return {line.partition(":")[0] for line in text.splitlines() if line and not line.startswith(" ")}
