"""The fuzzer of the MRT parser, bounded: ROVKIT_FUZZ_SECONDS for more than the seconds of every run."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fuzz.process import fresh

FUZZER = Path(__file__).parent / "fuzz_mrt.py"
SECONDS = int(os.environ.get("ROVKIT_FUZZ_SECONDS", "20"))


def test_nothing_breaks_the_parser(tmp_path):
    """Nor is the fuzzer blind: it finds inputs that reach what no seed does."""
    ended = subprocess.run(
        fresh(sys.executable, str(FUZZER), str(SECONDS)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert counted(ended.stderr, "new_units_added") > 0, ended.stderr[-3000:]


def counted(text, name):
    """A figure that libFuzzer ends with."""
    [line] = [line for line in text.splitlines() if line.startswith(f"stat::{name}:")]
    return int(line.split()[-1])
