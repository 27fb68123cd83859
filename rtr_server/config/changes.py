"""What differs between two configurations, by key."""

from __future__ import annotations

import msgspec

from rtr_server.config.reader import show


def changed_keys(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    """The keys whose values differ, as paths; a list or a variant that differs counts as one key.

    >>> from rtr_server.config import build_config
    >>> changed_keys(build_config({}), build_config({"log": {"level": "debug"}, "source": []}))
    ['log.level']
    """
    return [show(path) for path in _differences(old, new, ())]


def _differences(old: object, new: object, path: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        return [
            found
            for field in msgspec.structs.fields(old)
            for found in _differences(
                getattr(old, field.name), getattr(new, field.name), (*path, field.encode_name)
            )
        ]
    return [] if old == new else [path]
