"""A configuration that comes while the daemon runs: whether it may be taken, and what the log says of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec

from rtr_server.config import NEEDS_RESTART, Config, ConfigError, check, read_config
from rtr_server.logs import event

log = logging.getLogger(__name__)

REFUSED = "configuration refused, the old one stays"


def usable(path: Path) -> Config:
    """The file's configuration, where what it names is there; ConfigError with all that is wrong."""
    config = read_config(path)
    if problems := check(config, path):
        raise ConfigError(str(path), problems)
    return config


def without_restart(old: Config, new: Config) -> Config:
    """The new configuration with the old values of what only a restart can change; the log says which.

    >>> from rtr_server.config import build_config
    >>> new = build_config({"state": {"directory": "/x"}, "log": {"level": "debug"}})
    >>> kept = without_restart(Config(), new)
    >>> kept.state.directory, kept.log.level
    (None, 'debug')
    """
    kept: dict[str, dict[str, Any]] = {}
    for key in sorted(NEEDS_RESTART):
        section, _, name = key.partition(".")
        before, after = (getattr(getattr(config, section), name) for config in (old, new))
        if before != after:
            event(log, logging.WARNING, "configuration needs a restart", key=key)
            kept.setdefault(section, {})[name] = before
    # all of a section at once: of keys that belong together, one alone would be refused
    sections = {name: msgspec.structs.replace(getattr(new, name), **values) for name, values in kept.items()}
    return msgspec.structs.replace(new, **sections)


def tell_refused(path: Path, error: Exception) -> None:
    """Everything that is wrong, a line each."""
    if not isinstance(error, ConfigError):
        event(log, logging.ERROR, REFUSED, file=path, error=error)
        return
    for problem in error.problems:
        where = {"line": problem.line, "key": problem.key}
        known = {name: value for name, value in where.items() if value}
        event(log, logging.ERROR, REFUSED, file=path, **known, error=problem.text)
