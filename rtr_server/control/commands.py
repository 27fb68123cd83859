"""What can be asked of the daemon: a table from names to handlers.

Whoever has something to offer makes ``Command``s, in a method ``commands()``, and the daemon adds them:

    def commands(self) -> list[Command]:
        return [Command("update show", self._show), Command("update accept", self._accept, changes=True)]

A handler takes the arguments of the request by name and returns anything that msgspec can write as JSON. It
runs in the event loop: what takes longer is a coroutine. It refuses by ``ControlError("why")``. On the
command line, ``client.ask(path, "update accept", serial=5)`` returns the result or raises.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from rtr_server.control.codec import Answer, ControlError, Request

Handler = Callable[..., Any]
"""Called with the request's arguments by keyword; may be a coroutine function."""


class Command(msgspec.Struct, frozen=True):
    """A command by its name; ``changes``: it does something, so the log says who asked for it.

    >>> Command("status", lambda: {"serial": 7}).changes
    False
    """

    name: str
    handler: Handler
    changes: bool = False


class Commands:
    """The table of commands.

    >>> commands = Commands([Command("double", lambda number: 2 * number)])
    >>> commands.names
    ['double']
    """

    def __init__(self, commands: Iterable[Command] = ()) -> None:
        self._table: dict[str, Command] = {}
        self.add(commands)

    def add(self, commands: Iterable[Command]) -> None:
        """Offer more; ValueError if a name is taken."""
        for command in commands:
            if command.name in self._table:
                raise ValueError(f"command {command.name!r} is there already")
            self._table[command.name] = command

    @property
    def names(self) -> list[str]:
        """All commands, sorted."""
        return sorted(self._table)

    def find(self, name: str) -> Command:
        """The command of this name; ControlError if there is none."""
        if (command := self._table.get(name)) is None:
            raise ControlError(f"unknown command {name[:100]!r}: expected {', '.join(self.names)}")
        return command

    async def run(self, request: Request) -> Answer:
        """Carry out a request; a refusal is an answer, any other exception of the handler is raised."""
        try:
            command = self.find(request.command)
            return Answer(ok=True, result=await _call(command.handler, request.arguments))
        except ControlError as error:
            return Answer(ok=False, error=str(error))


async def _call(handler: Handler, arguments: dict[str, Any]) -> Any:
    try:
        inspect.signature(handler).bind(**arguments)
    except TypeError as error:
        raise ControlError(f"arguments: {error}") from error
    result = handler(**arguments)
    return await result if inspect.isawaitable(result) else result
