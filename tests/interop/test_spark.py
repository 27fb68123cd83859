"""The engine spark on a cluster of real processes: the answer of the local engine, also when one dies.

The command is started once as operators start it, with a cluster of its own of which a worker is killed.
Another one serves all other tests: two executors with one processor each. Its workers, and the command
without Spark, also read from an object store, S3 over HTTP as moto plays it.
"""

import contextlib
import gzip
import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rov import EngineError, RibFileError, VrpIndex, cli
from rov.audit import verdict_table
from rov.engines import placing, spark, threads

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]

MASTER = "local-cluster[2,1,1024]"

REAL = (
    "mrt/namex-bgpd-rib-inet.mrt.gz",
    "mrt/pyasn_rib.20140523.0600_firstMB.bz2",
    "mrt/ris_rrc00_2000.01_bview.20000111.0032.gz",
    "mrt/pyasn_rib.20080501.0644_firstMB.bz2",
    "mrt/bgpdump_bview.ipv4_unicast_add_path.gz",
)

QUICK_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""A JVM that compiles little: it lives for seconds."""


@pytest.fixture(scope="module")
def store(data, missing, first_snapshot, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment in which a process finds two real dumps in s3://ribs and VRPs in s3://vrps."""
    try:
        import boto3
        import s3fs  # noqa: F401
        from moto.server import ThreadedMotoServer
    except ImportError as error:
        missing(f"for object stores: {error}")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    access = {
        "AWS_ENDPOINT_URL": f"http://{address}:{port}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    vrps = tmp_path_factory.mktemp("s3") / "vrps.snapshot"
    first_snapshot.of_trust_anchor("lacnic").save(vrps)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in access.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        for bucket, files in (("ribs", [data(name) for name in REAL[:2]]), ("vrps", [vrps])):
            client.create_bucket(Bucket=bucket)
            for path in files:
                client.upload_file(str(path), bucket, f"2026.09/{path.name}")
        client.close()
    yield {**access, "VRPS": str(vrps)}
    server.stop()


@pytest.fixture(scope="module")
def cluster(program, missing, store):
    """A session of a cluster whose executors are processes of their own, which know where the store is."""
    program("java")
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        missing("pyspark is not installed")
    settings = {"spark.executor.memory": "512m", "spark.task.maxFailures": "2"}
    settings.update({f"spark.{end}.extraJavaOptions": QUICK_START for end in ("driver", "executor")})
    submit = "".join(f"--conf '{key}={value}' " for key, value in settings.items())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SPARK_HOME", raising=False)
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"{submit}pyspark-shell")
        for name, value in store.items():
            patch.setenv(name, value)
        # the session that the command makes for itself, and stops
        with spark._session(MASTER) as session:
            assert session.conf.get("spark.executor.memory") == "512m"
            yield session
        assert SparkSession.getActiveSession() is None
        assert "PYSPARK_PYTHON" not in os.environ


@pytest.fixture(scope="module")
def files(data):
    """Real dumps of five collectors."""
    return [str(data(name)) for name in REAL]


@pytest.fixture(scope="module")
def index(first_snapshot):
    return VrpIndex(first_snapshot)


@pytest.fixture(scope="module")
def expected(files, index):
    """What the local engine says of them."""
    found = threads.judge_files(files, index)
    assert min(found.counts().values()) > 1000
    return found


def same(found, expected):
    assert verdict_table(found).equals(verdict_table(expected))
    assert found.table.peers == expected.table.peers
    assert found.table.counts == expected.table.counts
    assert found.table.warnings == expected.table.warnings
    for mine, theirs in zip(found.families(), expected.families(), strict=True):
        assert np.array_equal(mine.routes.peer_sets, theirs.routes.peer_sets)


def audit(store, *arguments):
    """``rov audit`` as a process of its own that finds the store."""
    command = [sys.executable, "-m", "rov", "audit", *arguments]
    environment = {**os.environ, **store, "JAVA_TOOL_OPTIONS": QUICK_START}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)


# Before the cluster of the other tests is there: this one has its own


def test_the_command_whose_worker_is_killed_in_mid_run(store, files, program, missing, tmp_path):
    """rov audit as operators start it: the same document and the same cells as without Spark.

    One dump is a pipe at first: its reader is killed when it has half, the next one finds a file.
    """
    program("java")
    if not importlib.util.find_spec("pyspark"):
        missing("pyspark is not installed")
    stuck = tmp_path / Path(files[0]).name
    os.mkfifo(stuck)
    killed = []
    first = Path(files[0]).read_bytes()
    killer = threading.Thread(target=kill_reader, args=(stuck, first, killed), daemon=True)
    killer.start()
    documents, tables = [], []
    for engine in (["spark", "--master", MASTER], ["threads"]):
        rows = tmp_path / f"{engine[0]}.parquet"
        options = ["--vrps", store["VRPS"], "--json", "--output", str(rows), "--engine", *engine]
        done = audit(store, str(stuck), *files[1:3], *options)
        assert done.returncode == 0, done.stderr
        documents.append(json.loads(done.stdout))
        tables.append(pq.read_table(rows))
    killer.join(60)
    assert len(killed) == 2
    assert not any(Path(f"/proc/{pid}/cwd").exists() for pid in killed)
    assert documents[0] == documents[1]
    assert tables[0].equals(tables[1], check_metadata=True)
    assert tables[0].num_rows > 10_000


def kill_reader(stuck, packed, killed):
    """Feed half a dump to a pipe, put the file in its place, kill the worker that reads and its executor."""
    octets = gzip.decompress(packed)
    with open(stuck, "wb") as pipe:
        pipe.write(octets[: len(octets) // 2])
        pipe.flush()
        worker = reader_of(stuck)
        executor = executor_of(worker)
        whole = stuck.with_name("whole")
        whole.write_bytes(packed)
        os.replace(whole, stuck)
        for pid in (executor, worker):
            os.kill(pid, signal.SIGKILL)
        killed.extend([executor, worker])
        with contextlib.suppress(BrokenPipeError):
            pipe.write(octets[len(octets) // 2 :])


def reader_of(path):
    """The process that has a file open, other than this one."""
    while True:
        for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                pid = int(descriptor.parts[2])
                if pid != os.getpid() and os.readlink(descriptor) == str(path):
                    return pid
        time.sleep(0.05)


def executor_of(worker):
    """The executor that started a worker: a child of the command's JVM, never another one's."""
    pid = worker
    while "CoarseGrainedExecutorBackend" not in Path(f"/proc/{pid}/cmdline").read_text():
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        assert pid > 1
    return pid


def test_the_answer_is_that_of_the_local_engine(cluster, files, index, expected):
    told = []
    same(spark.judge_files(files, index, progress=lambda *done: told.append(done)), expected)
    assert told == [(done, len(files)) for done in range(1, len(files) + 1)]


def test_all_workers_of_a_host_map_one_snapshot(cluster, index):
    """Two worker processes, one file."""
    name = placing.place(index.snapshot)
    sent = placing.folder() / name

    def mapped(batches):
        for _ in batches:
            spark._index_of.cache_clear()
            kept = spark._index_of(name)
            time.sleep(1)  # so that one worker cannot have both tasks
            lines = Path("/proc/self/maps").read_text().splitlines()
            inodes = {line.split()[4] for line in lines if line.endswith(name)}
            assert len(kept)
            yield pa.RecordBatch.from_pydict({"pid": [os.getpid()], "inodes": [",".join(inodes)]})

    cluster.sparkContext.addFile(str(sent))
    found = cluster.range(0, 2, 1, 2).mapInArrow(mapped, "pid long, inodes string").toArrow()
    assert len(set(found["pid"].to_pylist())) == 2
    assert set(found["inodes"].to_pylist()) == {str(sent.stat().st_ino)}


def test_the_command(cluster, files, store, tmp_path, capsys):
    """rov audit --engine spark: the same document and the same rows as without."""
    told = []
    for engine in (["threads"], ["spark", "--master", MASTER]):
        rows = tmp_path / f"{engine[0]}.csv"
        options = ["--vrps", store["VRPS"], "--json", "--output", str(rows), "--min-peers", "2"]
        assert cli.main(["audit", *files[:3], *options, "--engine", *engine]) == 0
        told.append((capsys.readouterr().out, rows.read_bytes()))
    assert told[0] == told[1]
    assert len(told[0][1]) > 100_000
    master = ["--engine", "spark", "--master", "local"]
    assert cli.main(["audit", *files, "--vrps", store["VRPS"], *master]) == 2
    assert "a session of 'local-cluster[2,1,1024]' is active" in capsys.readouterr().err


def test_a_dump_that_a_worker_cannot_read_is_named(cluster, files, index):
    with pytest.raises(RibFileError, match="/nonexistent: cannot be read: No such file"):
        spark.judge_files([files[0], "/nonexistent"], index)


def test_what_spark_gives_up_is_told_in_a_line(cluster, files, index, monkeypatch):
    def fails(batches):
        raise ValueError("no such thing")

    monkeypatch.setattr(spark, "pack", fails)
    with pytest.raises(EngineError) as raised:
        spark.judge_files(files[:1], index)
    assert "\n" not in str(raised.value)
    assert "no such thing" in str(raised.value)


def test_a_frame_of_verdicts(cluster, files, index):
    frame = spark.verdict_frame(cluster, files[:2], index.snapshot)
    assert frame.rdd.getNumPartitions() == 2
    table = frame.toArrow()
    assert table["file"].unique().to_pylist() == files[:2]
    of_one = threads.judge_files(files[1:2], index)
    rows = table.filter(pc.equal(table["file"], files[1])).drop_columns("file").to_pylist()
    assert rows == verdict_table(of_one).to_pylist()


# From an object store


@pytest.fixture(scope="module")
def of_files(files, store, tmp_path_factory):
    """The rows that the command writes of the two dumps as files."""
    target = tmp_path_factory.mktemp("files") / "rows.csv"
    assert cli.main(["audit", *files[:2], "--vrps", store["VRPS"], "--output", str(target)]) == 0
    return target.read_bytes()


def test_dumps_and_vrps_of_a_bucket(store, of_files, tmp_path):
    assert of_files.count(b"\n") > 10_000
    vrps = "s3://vrps/2026.09/vrps.snapshot"
    done = audit(store, "s3://ribs/2026.09/*", "--vrps", vrps, "--output", str(tmp_path / "rows.csv"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "rows.csv").read_bytes() == of_files


def test_what_is_not_there_is_told_in_a_line(store):
    for name, reason in (("s3://ribs/none", "cannot be read"), ("s3://ribs/none/*", "no file matches")):
        done = audit(store, name, "--vrps", store["VRPS"])
        assert done.returncode == 2
        assert f"{name}: {reason}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_cluster_reads_a_bucket_by_the_command(cluster, store, of_files, tmp_path, monkeypatch):
    """A pattern of the store, a dump a task, by worker processes of the cluster."""
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    target = tmp_path / "rows.csv"
    options = ["--engine", "spark", "--master", MASTER, "--vrps", store["VRPS"], "--output", str(target)]
    assert cli.main(["audit", "s3://ribs/2026.09/*", *options]) == 0
    assert target.read_bytes() == of_files
