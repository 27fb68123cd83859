"""The engine for many machines: Spark runs the kernel, a task is a whole dump. It alone needs pyspark.

The VRPs go out once as a saved Snapshot, which all workers of a host map. Results come back packed, dump by
dump, and are folded in order while later dumps are still read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rov._checks import as_kind
from rov._pandas import let_in
from rov._threads import in_order
from rov.audit.verdicts import Verdicts
from rov.engines.fold import fold
from rov.engines.kernel import Kernel, named, pack, rows, unpack
from rov.engines.placing import folder, place, placed
from rov.errors import ArgumentError, EngineError, ExtraError
from rov.index import VrpIndex
from rov.rib.stream import Progress
from rov.snapshot import Snapshot

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

ROWS_SCHEMA = "file string, prefix string, origin long, state string, reason string, peers long"
"""The columns of verdict_frame; origin is null where there is none."""

DEFAULT_MASTER = "local[*]"

_TRACEBACK = "Traceback (most recent call last)"

_LOCAL = "local"
"""What the names of masters on this machine begin with."""


def judge_files(
    names: Sequence[str],
    index: VrpIndex,
    *,
    master: str | None = None,
    progress: Progress | None = None,
) -> Verdicts:
    """The verdicts on the distinct routes of some dumps, merged, as ``rov.engines.threads`` has them.

    names: paths that every worker can read, or URLs. master: of the cluster, as Spark names it; a session
    that is active is used, and left as it is. progress: called with the number of dumps done and of all.
    ExtraError: pyspark is missing. EngineError: Spark cannot be started, or gave a dump up. RibFileError: a
    dump cannot be read.
    """
    as_kind(index, VrpIndex, "index")
    if "-" in names:
        raise ArgumentError("standard input: expected files or URLs, which the workers of Spark can read")
    files = tuple(_absolute(name) for name in names)
    with _pandas_3_allowed(), _session(master) as spark:
        kernel = _broadcast(spark, index.snapshot, files, pack)
        dumps = in_order(
            partial(_collected, spark, kernel), range(len(files)), spark.sparkContext.defaultParallelism
        )
        return fold(_told(dumps, len(files), progress), index)


def verdict_frame(spark: SparkSession, names: Sequence[str], snapshot: Snapshot) -> DataFrame:
    """The verdicts as a DataFrame, a partition a dump, whose columns are those of ROWS_SCHEMA.

    For what is to stay in the cluster, such as ``verdict_frame(...).write.parquet("s3a://...")``: nothing
    passes the driver, and nothing is merged over dumps.
    """
    as_kind(snapshot, Snapshot, "snapshot")
    files = tuple(_absolute(name) for name in names)
    kernel = _broadcast(spark, snapshot, files, rows)
    return spark.range(0, len(files), 1, max(1, len(files))).mapInArrow(kernel, ROWS_SCHEMA)


class _Task(NamedTuple):
    """What a worker runs: numbers of dumps in, what ``form`` makes of their judged routes out."""

    files: tuple[str, ...]
    snapshot: str
    form: Any

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        # a task has one processor
        kernel = Kernel(partial(_index_of, self.snapshot), threads=1)
        return self.form(kernel(named(self.files, batches)))  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def _index_of(snapshot: str) -> VrpIndex:
    """The index of a worker process, which serves all its tasks."""
    from pyspark import SparkFiles

    return VrpIndex(Snapshot.open(placed(snapshot, lambda: SparkFiles.get(snapshot))))


def _broadcast(spark: SparkSession, snapshot: Snapshot, files: tuple[str, ...], form: Any) -> Any:
    """The task, once the workers can have the Snapshot."""
    name = place(snapshot)
    spark.sparkContext.addFile(str(folder() / name))
    task = _Task(files, name, form)
    # Spark takes a function, whose arguments it looks at
    return lambda batches: task(batches)


def _collected(spark: SparkSession, kernel: Any, place: int) -> list[pa.RecordBatch]:
    """The packed results of one dump: a job with one task."""
    try:
        table = spark.range(place, place + 1, 1, 1).mapInArrow(kernel, "packed binary").toArrow()
    except Exception as error:
        raise _failed(error) from error
    return table.to_batches()  # type: ignore[no-any-return]


def _told(
    dumps: Iterator[list[pa.RecordBatch]], count: int, progress: Progress | None
) -> Iterator[pa.RecordBatch]:
    """The batches of all dumps, unpacked one by one; tells when a dump is done."""
    for done, packed in enumerate(dumps, 1):
        yield from unpack(iter(packed))
        if progress is not None:
            progress(done, count)


def _absolute(name: str) -> str:
    """A name that means the same in the working directory of a worker."""
    return name if "://" in name else os.path.abspath(name)


def _failed(error: Exception) -> EngineError:
    """What Spark says in pages, in a line: what a worker raised, else how it begins."""
    text, _, _ = str(error).partition("JVM stacktrace:")
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return EngineError(f"Spark: {lines[-1 if _TRACEBACK in text else 0]}")


@contextlib.contextmanager
def _session(master: str | None) -> Iterator[SparkSession]:
    """The active session, or one of our own, which is stopped afterwards."""
    sql = _pyspark_sql()
    active = sql.SparkSession.getActiveSession()
    if active is not None:
        if master not in (None, active.sparkContext.master):
            raise ArgumentError(f"master {master!r}: a session of {active.sparkContext.master!r} is active")
        yield active
        return
    with _own_python(master):
        try:
            spark = _builder(sql, master).getOrCreate()
        except Exception as error:
            raise _failed(error) from error
    try:
        yield spark
    finally:
        spark.stop()


def _builder(sql: Any, master: str | None) -> Any:
    builder = sql.SparkSession.builder.appName("rov audit")
    for key, value in (("spark.ui.showConsoleProgress", "false"), ("spark.log.level", "ERROR")):
        builder = builder.config(key, value)
    # spark-submit has said which master it is
    if master is None and "PYSPARK_GATEWAY_PORT" in os.environ:
        return builder
    chosen = master or DEFAULT_MASTER
    if chosen.startswith(_LOCAL):
        for key in ("spark.driver.host", "spark.driver.bindAddress"):
            builder = builder.config(key, "127.0.0.1")
        builder = builder.config("spark.ui.enabled", "false")
    return builder.master(chosen)


@contextlib.contextmanager
def _own_python(master: str | None) -> Iterator[None]:
    """Workers on this machine are to run the Python that has this library, unless told otherwise."""
    if not (master or DEFAULT_MASTER).startswith(_LOCAL) or "PYSPARK_PYTHON" in os.environ:
        yield
        return
    os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        yield
    finally:
        del os.environ["PYSPARK_PYTHON"]


def _pyspark_sql() -> Any:
    let_in()  # pyspark asks for pandas
    try:
        import pyspark.sql
    except ImportError as error:
        raise ExtraError("the engine spark needs pyspark: pip install 'rovkit[spark]'") from error
    return pyspark.sql


@contextlib.contextmanager
def _pandas_3_allowed() -> Iterator[None]:
    """pyspark 4 warns of pandas 3, of which mapInArrow uses nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield
