"""docs/transports.md: every example is a configuration that is taken, and every key has one."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

import rtr_server
from rtr_server.config import Config, build_config
from rtr_server.config.transport import (
    AuthenticationOption,
    Client,
    Limits,
    Listen,
    Ssh,
    Tcp,
    Tls,
)

PAGE = (Path(rtr_server.__file__).parent.parent / "docs" / "transports.md").read_text()
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_is_taken(number):
    assert build_config(tomllib.loads(EXAMPLES[number])) != Config() or "[tcp]" in EXAMPLES[number]


def test_all_examples_together_are_one_configuration():
    config = build_config(tomllib.loads("\n".join(EXAMPLES)))
    assert [listen.transport for listen in config.listen] == ["tcp", "tcp", "tcp", "tls", "ssh"]
    assert len(config.client) == 7


@pytest.mark.parametrize("section", [Listen, Tls, Ssh, Client, AuthenticationOption, Limits, Tcp])
def test_every_key_is_shown(section):
    text = "\n".join(EXAMPLES)
    keys = [field.name for field in msgspec.structs.fields(section)]
    missing = [key for key in keys if not re.search(rf"^{key} = |^\[.*\b{key}\]", text, re.MULTILINE)]
    assert missing == []


def test_the_defaults_are_those_that_the_page_gives():
    shown = build_config(tomllib.loads(EXAMPLES[-2] + EXAMPLES[-1]))
    usual = {"max_connections": None, "stall": None}
    assert msgspec.structs.replace(shown.limits, **usual) == Limits()
    assert shown.tcp == Tcp()
