"""The configuration of the daemon: one TOML file, or flags, as one tree of frozen structs.

``read_config(path)`` gives a Config; ConfigError has every fault of the file with key and line. How values
are written (durations, sizes, shares, prefixes, paths) stands in ``values``: bare numbers are seconds and
octets. Each section is a frozen struct in the module of whoever reads it:

    [timers] [state] [log] [control]     service.py
    [[listen]] [[client]] [limits] [tcp] transport.py
    [[source]] [policy] [slurm] [guard] [stale] [history]   sources.py
    [http]                               web.py

To add a section: write ``class Guard(Section)`` in its module, with defaults and a docstring a key, and a
field ``guard: Guard = Guard()`` in Config (a list: ``source: tuple[Source, ...] = ()`` is ``[[source]]``).
Rules between keys are ``__post_init__`` raising ``SectionError("key", "text")``. What depends on the machine
(files that must exist, certificates that must parse) is a method ``check(self) -> Iterator[SectionError]``,
called by ``check-config`` through ``check``. Variants of a section (``type = "file"``) are structs with
``tag_field="type", tag="file"``, joined by ``|``.

A key that only a restart can change is named in ``NEEDS_RESTART``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from rtr_server.config.faults import ConfigError, Problem, SectionError
from rtr_server.config.lines import find_lines, line_of
from rtr_server.config.reader import build, keys_of, read_toml, sections, show
from rtr_server.config.section import Section
from rtr_server.config.service import Control, Log, State, Timers
from rtr_server.config.sources import (
    Guard,
    History,
    Policy,
    Slurm,
    Source,
    Stale,
    check_sources,
)
from rtr_server.config.transport import DEFAULT_LISTEN, Client, Limits, Listen, Tcp, Transport, check_clients
from rtr_server.config.web import Http

__all__ = [
    "NEEDS_RESTART",
    "Client",
    "Config",
    "ConfigError",
    "Control",
    "Guard",
    "History",
    "Http",
    "Limits",
    "Listen",
    "Log",
    "Policy",
    "Problem",
    "Section",
    "SectionError",
    "Slurm",
    "Source",
    "Stale",
    "State",
    "Tcp",
    "Timers",
    "build_config",
    "check",
    "read_config",
]

NEEDS_RESTART = frozenset(
    {"control.group", "control.mode", "control.socket", "state.directory"}
    | {f"http.{name}" for name in Http.__struct_fields__}
)
"""Keys (section.name) that a reload leaves as they were, with a line in the log."""


class Config(Section, frozen=True, kw_only=True):
    """All that the daemon is told. The defaults are those of an empty file.

    >>> Config().timers.expire
    7200.0
    """

    listen: tuple[Listen, ...] = ()
    """Where routers are served; empty: 127.0.0.1:8323 and [::1]:8323."""

    client: tuple[Client, ...] = ()
    """What holds for some routers; the longest prefix that covers an address counts."""

    limits: Limits = Limits()
    tcp: Tcp = Tcp()

    source: tuple[Source, ...] = ()
    """Where VRPs come from."""

    policy: Policy = Policy()
    slurm: Slurm = Slurm()
    guard: Guard = Guard()
    stale: Stale = Stale()
    history: History = History()
    timers: Timers = Timers()
    state: State = State()
    log: Log = Log()
    control: Control = Control()
    http: Http = Http()

    def __post_init__(self) -> None:
        check_sources(self.source, self.policy, self.guard)
        check_clients(self.client, self.timers.timing)

    @property
    def transport(self) -> Transport:
        """What the server of routers reads."""
        listen = self.listen or DEFAULT_LISTEN
        return Transport(listen, self.client, self.limits, self.tcp, self.timers.timing)


@runtime_checkable
class _Checked(Protocol):
    def check(self) -> Iterable[SectionError]: ...


def read_config(path: Path) -> Config:
    """The file as a Config; ConfigError with everything that is wrong with it."""
    return read_toml(path, Config)


def build_config(tables: dict[str, object], name: str = "arguments") -> Config:
    """A Config from what tomllib would give: how flags become one. Paths are relative to where we are.

    >>> build_config({"log": {"level": "debug"}}).log.level
    'debug'
    """
    return build(tables, Config, name=name, base=Path.cwd())


def check(config: msgspec.Struct, path: Path | None = None) -> list[Problem]:
    """What is wrong with the world that a configuration speaks of: missing files, unreadable keys.

    ``path``: the file that it came from, for the lines.

    >>> check(Config())
    []
    """
    lines = find_lines(path.read_text()) if path is not None else {}
    found = [
        ((*where, *keys_of(fault.key)), fault.text)
        for where, section in sections(config)
        if isinstance(section, _Checked)
        for fault in section.check()
    ]
    return [Problem(show(where), text, line_of(where, lines)) for where, text in found]
