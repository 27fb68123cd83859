"""The fuzz target of RTR for a bounded time: ROVKIT_FUZZ_SECONDS, 20 if unset; all of its corpus first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.process import fresh

HERE = Path(__file__).parent
SECONDS = int(os.environ.get("ROVKIT_FUZZ_SECONDS", "20"))


def test_no_input_breaks_the_rules(tmp_path):
    pytest.importorskip("atheris", reason="install rovkit[fuzz]")
    found = tmp_path / "found"
    found.mkdir()
    # What is new goes to the first directory: the kept corpus is only read.
    command = fresh(sys.executable, str(HERE / "fuzz_rtr.py"), str(found), str(HERE / "corpus" / "rtr"))
    command += [f"-max_total_time={SECONDS}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1024"]
    command += [f"-artifact_prefix={tmp_path}/", "-print_final_stats=1", "-verbosity=0"]
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=SECONDS + 120,
        check=False,
        cwd=HERE.parents[1],
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    saved = [shutil.copy(path, HERE) for path in tmp_path.glob("crash-*")]
    assert ended.returncode == 0, f"{ended.stderr[-3000:]}\ninput kept as {saved}"
    executed = [line for line in ended.stderr.splitlines() if "number_of_executed_units" in line]
    # More than the corpus: it is not measured how fast a busy machine is.
    assert int(executed[0].split()[-1]) > 2 * len(list((HERE / "corpus" / "rtr").iterdir())), ended.stderr[
        -1000:
    ]
