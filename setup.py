"""The extension modules and how they are compiled; everything else stands in pyproject.toml.

ROV_DEBUG=1     bounds and initialisation checks in every extension
ROV_SANITIZE=1  the same, under AddressSanitizer and UndefinedBehaviorSanitizer; the MRT parser tells its
                fuzzer what of it runs
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("ROV_SANITIZE") == "1"
DEBUG = SANITIZE or os.environ.get("ROV_DEBUG") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "embedsignature": True,
    "binding": True,
}

# -g1: lines for a backtrace; all that -g brings besides takes a third of the time to compile
compile_args = ["-O3", "-g1", "-fno-math-errno", "-Wno-unreachable-code"]
link_args = []
if SANITIZE:
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
    compile_args = ["-O1", "-g1", *flags]
    link_args = flags

# What Cython needs for memoryviews stands in one module, which it writes itself: in each, it would take two
# thirds of the time to compile and of the size.
SHARED = "rov._cyutility"
sources = {f"rov.{source.stem}": str(source) for source in sorted(Path("rov").glob("*.pyx"))}
extensions = [
    Extension(name, [source], extra_compile_args=compile_args, extra_link_args=link_args)
    for name, source in {**sources, SHARED: "rov/_cyutility.c"}.items()
]
if SANITIZE:
    [fuzzed] = [extension for extension in extensions if extension.name == "rov._mrt"]
    fuzzed.sources.append("tests/fuzz/coverage.c")
    fuzzed.extra_compile_args = [*compile_args, "-fsanitize-coverage=trace-pc"]

jobs = os.cpu_count() or 1
setup(
    ext_modules=cythonize(
        extensions,
        compiler_directives=DIRECTIVES,
        force=DEBUG,
        nthreads=jobs,
        shared_utility_qualified_name=SHARED,
    ),
    options={"build_ext": {"parallel": jobs}},
)
