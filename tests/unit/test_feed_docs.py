"""docs/sources.md: each example is a configuration that is taken."""

import re
import tomllib
from pathlib import Path

import pytest

from rtr_server.config import ConfigError, build_config

PAGE = Path(__file__).parent.parent.parent / "docs" / "sources.md"
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[0])
def test_an_example_is_a_configuration(example):
    assert build_config(tomllib.loads(example)).source


def test_all_types_are_shown():
    kinds = {each["type"] for example in EXAMPLES for each in tomllib.loads(example)["source"]}
    assert kinds == {"file", "url", "rtr", "command", "static"}


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ({"source": [{"type": "fiel", "path": "x"}]}, "source[1]"),
        ({"source": [{"type": "url", "url": "ftp://x/"}]}, "source[1].url"),
        ({"source": [{"type": "url", "url": "http://x/", "interval": 1}]}, "source[1].interval"),
        ({"source": [{"type": "rtr", "host": "x", "ca_file": "y"}]}, "source[1].ca_file"),
        ({"source": [{"type": "command", "argv": []}]}, "source[1].argv"),
        ({"policy": {"combine": "quorum"}}, "policy.quorum"),
        ({"policy": {"combine": "quorum", "quorum": 1}}, "policy.quorum"),
        ({"source": [{"type": "file", "path": "x"}] * 2}, "source"),
        ({"guard": {"watch": [{"max_loss": 0}]}}, "guard.watch[1]"),
        ({"stale": {"action": "panic"}}, "stale.action"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_faults_name_their_key(tables, key):
    with pytest.raises(ConfigError) as caught:
        build_config(tables)
    assert caught.value.problems[0].key.startswith(key)
