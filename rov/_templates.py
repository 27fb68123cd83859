"""Texts from jinja2 templates: the one module that needs jinja2."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rov.errors import ArgumentError, ExtraError

KNOWN_ATTRIBUTES = 1_000
"""Attributes of types that are remembered: templates use some dozens."""


def packaged_templates(package: str) -> AbstractContextManager[Path]:
    """The directory of templates of a package, while the context lasts.

    >>> with packaged_templates("rov.routers") as directory:
    ...     (directory / "bird2.j2").is_file()
    True
    """
    return as_file(files(package).joinpath("templates"))


def environment(*directories: Path, escape: bool = False) -> Any:
    """A jinja2 environment whose templates come from directories, the first that has one.

    A name that a template uses and nobody gave is an error. ExtraError: jinja2 is not installed.

    >>> environment().from_string("AS{{ asn }}").render(asn=64496)
    'AS64496'
    """
    try:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise ExtraError("templates need jinja2: pip install 'rovkit[audit]' or 'rovkit[config]'") from error

    class Sandbox(ImmutableSandboxedEnvironment):
        """What a template may ask of a value follows from its type, and is asked a million times."""

        def __init__(self, **how: Any) -> None:
            super().__init__(**how)
            self._allowed: dict[tuple[type, str], bool] = {}

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            allowed = self._allowed.get((type(obj), attr))
            if allowed is None:
                allowed = super().is_safe_attribute(obj, attr, value)
                if len(self._allowed) < KNOWN_ATTRIBUTES:
                    self._allowed[type(obj), attr] = allowed
            return allowed

    return Sandbox(
        loader=jinja2.FileSystemLoader(list(directories)),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@lru_cache(maxsize=16)
def _environment(directories: tuple[Path, ...]) -> Any:
    return environment(*directories)


def rendered(name: str, directories: Sequence[Path], values: dict[str, Any]) -> str:
    """The text that a template makes of values; ArgumentError names file and line of what is wrong in it.

    >>> import tempfile
    >>> directory = Path(tempfile.mkdtemp())
    >>> _ = (directory / "hello").write_text("{{ who }}: {{ what }}")
    >>> rendered("hello", [directory], {"who": "AS64496"})
    Traceback (most recent call last):
    rov.errors.ArgumentError: template hello: line 1: 'what' is undefined
    """
    # a template that changed is read again, one that did not is compiled once
    made = _environment(tuple(directories))
    import jinja2

    try:
        text: str = made.get_template(name).render(values)
    except jinja2.TemplateSyntaxError as error:
        raise ArgumentError(f"template {error.name or name}: line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise ArgumentError(f"template {error.name}: found in none of the template directories") from error
    except UnicodeDecodeError as error:
        raise ArgumentError(f"template {name}: expected UTF-8") from error
    except Exception as error:  # a template is a program of its own, and may fail as any
        raise ArgumentError(f"template {name}: line {_line(error, name)}: {error}") from error
    return text


def _line(error: BaseException, name: str) -> int:
    """Where in the template it failed: jinja2 shows its lines in the traceback."""
    line, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename.endswith(name):
            line = at.tb_lineno
        at = at.tb_next
    return line
