"""RIB dumps and VRPs in an object store: the answer is that of the files. moto plays S3 over HTTP."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.interop.test_spark import MASTER, QUICK_START

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

RIBS = ("mrt/namex-bgpd-rib-inet.mrt.gz", "mrt/pyasn_rib.20140523.0600_firstMB.bz2")


@pytest.fixture(scope="module")
def store(data, missing, first_snapshot, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of a process that finds s3://ribs with two real dumps and s3://vrps with one set."""
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
        for bucket, files in (("ribs", [data(name) for name in RIBS]), ("vrps", [vrps])):
            client.create_bucket(Bucket=bucket)
            for path in files:
                client.upload_file(str(path), bucket, f"2026.09/{path.name}")
        client.close()
    yield {**os.environ, **access, "VRPS": str(vrps)}
    server.stop()


@pytest.fixture(scope="module")
def of_files(data, store, tmp_path_factory):
    """What the command writes of the files."""
    return written(store, tmp_path_factory.mktemp("files"), *(str(data(name)) for name in RIBS))


def written(environment, folder, *names, vrps=None):
    """The rows that rov audit writes, as a process of its own."""
    target = folder / "rows.csv"
    command = [sys.executable, "-m", "rov", "audit", *names, "--vrps", vrps or environment["VRPS"]]
    done = subprocess.run(
        [*command, "--output", str(target)], env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def test_dumps_and_vrps_of_a_bucket(store, of_files, tmp_path):
    assert of_files.count(b"\n") > 10_000
    found = written(store, tmp_path, "s3://ribs/2026.09/*", vrps="s3://vrps/2026.09/vrps.snapshot")
    assert found == of_files


def test_what_is_not_there_is_told_in_a_line(store):
    command = [sys.executable, "-m", "rov", "audit", "--vrps", store["VRPS"]]
    for name, reason in (("s3://ribs/none", "cannot be read"), ("s3://ribs/none/*", "no file matches")):
        done = subprocess.run([*command, name], env=store, capture_output=True, text=True, timeout=100)
        assert done.returncode == 2
        assert f"{name}: {reason}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_spark_reads_a_bucket_by_the_command(store, of_files, program, tmp_path):
    """The whole way: the command, a cluster of processes of its own, a dump a task, from the store."""
    program("java")
    pytest.importorskip("pyspark")
    environment = {**store, "JAVA_TOOL_OPTIONS": QUICK_START}
    names = ["s3://ribs/2026.09/*", "--engine", "spark", "--master", MASTER]
    assert written(environment, tmp_path, *names) == of_files
