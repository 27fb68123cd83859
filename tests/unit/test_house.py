"""The rules of the house that a program can check: public names, layers, stubs, docstrings."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rov
import rtr_server

ROOT = Path(rov.__file__).parent.parent
PACKAGES = [Path(rov.__file__).parent, Path(rtr_server.__file__).parent]

OWN_IMPORT = re.compile(r"^\s*(?:from|cimport|import)\s+((?:rov|rtr_server)[\w.]*)", re.MULTILINE)

INTEGERS_ONLY = {"_nesting",
    "_trie", "_trie_build", "_trie_leaves", "_trie_ranges", "_columns", "_routes", "_aspa",
    "_cursor", "_mrt", "_mrt_attributes", "_mrt_format", "_mrt_peers", "_mrt_prefixes", "_mrt_routes",
    "_mrt_rows", "_mrt_sink", "_mrt_tables", "_mrt_updates",
    "_rib_text",
}  # fmt: skip
"""Extensions that know integers and buffers, and no types or errors of ours."""


def modules(package):
    """Every module of a package but __main__, which would run it."""
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [package, *(importlib.import_module(name) for name in names if not name.endswith("__main__"))]


def undocumented(module):
    """Public functions, classes and methods that a module defines and that have no docstring."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        if not inspect.getdoc(value):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(value):
            yield from (
                f"{module.__name__}.{name}.{method}"
                for method, function in vars(value).items()
                if not method.startswith("_")
                and (inspect.isroutine(function) or isinstance(function, property))
                and not inspect.getdoc(getattr(value, method))
            )


def test_all_is_complete():
    # Modules of the package become its attributes once they are imported; those that are listed are meant.
    for name in rov._PARTS:
        assert inspect.ismodule(getattr(rov, name))
    public = {
        name
        for name in dir(rov)
        if not name.startswith("_") and (not inspect.ismodule(getattr(rov, name)) or name in rov.__all__)
    }
    assert public - {"annotations"} == set(rov.__all__)


def test_all_is_sorted_and_unique():
    # Constants, then classes, then functions: the order in which ruff keeps __all__ (RUF022).
    def rank(name):
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert rov.__all__ == sorted(set(rov.__all__), key=rank)


def test_errors_are_exported():
    from rov import errors

    kinds = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert kinds <= set(rov.__all__)


@pytest.mark.parametrize("package", [rov, rtr_server], ids=lambda package: package.__name__)
def test_public_names_have_docstrings(package):
    assert [name for module in modules(package) for name in undocumented(module)] == []


@pytest.mark.parametrize("package", [rov, rtr_server], ids=lambda package: package.__name__)
def test_modules_have_docstrings(package):
    written = [module for module in modules(package) if str(module.__file__).endswith(".py")]
    assert [module.__name__ for module in written if not (module.__doc__ or "").strip()] == []


def test_every_extension_has_a_stub():
    sources = [source for package in PACKAGES for source in package.rglob("*.pyx")]
    assert sources, "found the extensions"
    assert [str(source) for source in sources if not source.with_suffix(".pyi").is_file()] == []


def test_the_library_leaves_clock_network_and_logging_to_others():
    banned = {"socket", "asyncio", "logging", "time"}
    used = {
        (module.__name__, name)
        for module in modules(rov)
        if not module.__name__.startswith("rov.cli")
        for name, value in vars(module).items()
        if inspect.ismodule(value) and value.__name__ in banned
    }
    assert used == set()


def test_extensions_import_only_what_lies_below():
    """The layers of the extension modules, which import-linter does not see."""
    above = {}
    for source in (found for package in PACKAGES for found in package.rglob("*.p[yx][xd]")):
        imported = re.findall(
            r"^\s*(?:from|cimport|import)\s+((?:rov|rtr_server)[\w.]*)", source.read_text(), re.M
        )
        allowed = set() if source.stem in INTEGERS_ONLY else {"rov.errors", "rov.types"}
        wrong = {name for name in imported if not name.startswith("rov._")} - allowed
        if wrong:
            above[source.name] = wrong
    assert above == {}


def test_layers_hold():
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    ended = subprocess.run(
        [*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " 0 broken" in ended.stdout


def test_what_an_import_brings():
    """The parts of rov come at their first use, so that the import of the package stays quick."""
    program = (
        "import sys, rov; late = {*rov._PARTS}; "
        "loaded = {name.removeprefix('rov.') for name in sys.modules}; "
        "assert not loaded & {*late, 'urllib3', 'pyarrow', 'click'}, loaded & late; "
        "assert late <= {*dir(rov)} & {*rov.__all__}; "
        "assert {getattr(rov, name).__name__ for name in late} == {f'rov.{name}' for name in late}; "
        "assert not hasattr(rov, 'nonsense')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
