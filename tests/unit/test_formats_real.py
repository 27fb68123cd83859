"""Every real VRP file, with the counts that an independent parse of it gave."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import rov
from rov.formats import ReadReport, read_bytes, read_report

pytestmark = pytest.mark.realdata

Data = Callable[[str], Path]


class Counts(NamedTuple):
    """What a file must give."""

    form: str
    rows: int
    ipv4: int
    ipv6: int
    asns: int
    aspas: int = 0
    router_keys: int = 0
    as0: int = 0
    skipped: int = 0


FILES = {
    "rpki-client_global_20250720T093133Z.json.bz2": Counts(
        "rpki-client JSON", 723_521, 580_366, 143_155, 50_106, 100, 2, 2_419
    ),
    "rpki-client_global_20250720T100143Z.json.bz2": Counts(
        "rpki-client JSON", 723_524, 580_367, 143_157, 50_106, 100, 2, 2_419
    ),
    "rpki-client_sample_2021format.json.gz": Counts("rpki-client JSON", 70, 22, 48, 41),
    "rpki-client_sample_2023format.json.gz": Counts("rpki-client JSON", 379, 8, 371, 224, 2, 3),
    "rpki-client_10k_2024.csv.xz": Counts("rpki-client CSV", 9_999, 9_999, 0, 1_446, as0=6),
    "routinator_10k_2024.csv.xz": Counts("Routinator CSV", 9_999, 9_999, 0, 1_448, as0=6),
    "ripe-validator_export_20181017.csv.xz": Counts(
        "RIPE NCC validator CSV", 60_716, 51_538, 9_178, 7_010, as0=15
    ),
    "massimo_rpki-validator_test_2019.json.xz": Counts("JSON list", 5_000, 4_455, 545, 152, as0=15),
    "dn42_export_dn42.json.xz": Counts("gortr JSON", 3_312, 1_756, 1_552, 1_628, as0=15, skipped=3),
}

NO_VRP_FILES = {
    "dn42_bird_route_dn42.conf.xz": "found text that begins with 'route fd00:114:514::/48",
    "rpki-client_filemode_objects.ndjson.xz": "no sound JSON: JSON is malformed: trailing characters",
    "rpkilog_vrpdiff_20250720T1001Z.json.bz2": "found one with 'object_type', 'metadata', 'vrp_diffs'",
}


def counts(report: ReadReport) -> Counts:
    snapshot = report.snapshot
    asns = np.concatenate((snapshot.ipv4.asn, snapshot.ipv6.asn))
    return Counts(
        report.format,
        report.rows,
        len(snapshot.ipv4),
        len(snapshot.ipv6),
        len(set(asns.tolist())),
        len(snapshot.aspas),
        len(snapshot.router_keys),
        int((asns == 0).sum()),
        report.skipped_count,
    )


@pytest.mark.parametrize("name", FILES)
def test_counts(data: Data, name: str) -> None:
    assert counts(read_report(data(f"vrp/{name}"), strict=FILES[name].skipped == 0)) == FILES[name]


@pytest.mark.parametrize("name", NO_VRP_FILES)
def test_other_files_are_refused(data: Data, name: str) -> None:
    with pytest.raises(rov.VrpFileError) as caught:
        read_report(data(f"vrp/{name}"), strict=False)
    assert NO_VRP_FILES[name] in str(caught.value)


def test_the_bad_rows_of_dn42_are_named(data: Data) -> None:
    path = data("vrp/dn42_export_dn42.json.xz")
    with pytest.raises(rov.VrpFileError, match="row 124: prefix None: expected") as caught:
        read_report(path)
    assert caught.value.row == 124
    assert [row.row for row in read_report(path, strict=False).skipped] == [124, 1561, 3312]


def test_the_global_set_in_detail(first_snapshot: rov.Snapshot) -> None:
    snapshot = first_snapshot
    assert snapshot.generated == 1753003893
    ta = {
        name: (int((snapshot.ipv4.ta == index).sum()), int((snapshot.ipv6.ta == index).sum()))
        for index, name in enumerate(snapshot.trust_anchors)
    }
    assert ta == {
        "ripe": (244_062, 56_926),
        "arin": (167_034, 36_961),
        "apnic": (116_404, 36_797),
        "lacnic": (27_453, 11_558),
        "afrinic": (25_413, 913),
    }
    assert sum(len(aspa.providers) for aspa in snapshot.aspas) == 545
    assert max(len(aspa.providers) for aspa in snapshot.aspas) == 55
    assert sum(aspa.providers == (0,) for aspa in snapshot.aspas) == 2
    assert {key.asn for key in snapshot.router_keys} == {15562}
    expires = np.concatenate((snapshot.ipv4.expires, snapshot.ipv6.expires))
    assert (int(expires.min()), int(expires.max())) == (1753008369, 1753590508)


def test_the_global_set_is_what_the_standard_library_reads(
    first_snapshot: rov.Snapshot, first_texts: set[str]
) -> None:
    assert {str(vrp) for vrp in first_snapshot.vrps()} == first_texts


def test_two_validators_at_the_same_moment_agree(data: Data) -> None:
    ours = read_report(data("vrp/rpki-client_10k_2024.csv.xz")).snapshot
    theirs = read_report(data("vrp/routinator_10k_2024.csv.xz")).snapshot
    assert len(ours & theirs) > 9_900


def members(data: Data) -> dict[str, bytes]:
    with tarfile.open(data("slurm/slurm_and_small_vrp_json_samples.tar.xz")) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
        return {Path(name).name: file.read() for name, file in files.items() if file is not None}


def test_routinator_samples(data: Data) -> None:
    """Their names say what is in them: VRPs, router keys, ASPAs; each row stands there twice."""
    files = members(data)
    seen = 0
    for kind in (f"{number:03b}" for number in range(1, 8)):
        vrps, keys, aspas = (int(digit) for digit in kind)
        for form in ("json", "jsonext"):
            snapshot = read_bytes(files[f"routinator_{kind}.{form}"], form).snapshot
            found = (len(snapshot), len(snapshot.router_keys), len(snapshot.aspas))
            assert found == (vrps, keys, aspas), (kind, form)
            seen += 1
        for form in ("csv", "csvcompat", "csvext"):
            snapshot = read_bytes(files[f"routinator_{kind}.{form}"], form).snapshot
            assert [str(vrp) for vrp in snapshot.vrps()] == ["12.34.56.0/24-24 AS1234"] * vrps, (kind, form)
            seen += 1
    assert seen == 35


def test_samples_of_other_programs(data: Data) -> None:
    files = members(data)
    for name in ("rtrtr_vrps.json", "rtrtr_vrps-metadata.json", "rtrtr_vrps.rpki-client.json"):
        snapshot = read_bytes(files[name], name).snapshot
        texts = [str(vrp) for vrp in snapshot.vrps()]
        assert texts == ["192.0.2.0/24-24 AS64512", "2001:db8::/32-32 AS4200000000"], name
    assert len(snapshot.router_keys) == 1
    small = read_bytes(files["stayrtr_smalltest.rpki.json"], "x").snapshot
    assert [vrp.asn for vrp in small.vrps()] == [13335, 9367]


def test_no_other_sample_passes_for_vrps(data: Data) -> None:
    files = members(data)
    refused = 0
    for name, content in files.items():
        suffix = name.rpartition(".")[2]
        known = suffix in ("csv", "csvcompat", "csvext") or (
            suffix in ("json", "jsonext") and name.startswith(("routinator_0", "routinator_1", "rtrtr_"))
        )
        if (known and name not in ("routinator_000.json", "routinator_000.jsonext")) or "smalltest" in name:
            continue
        with pytest.raises(rov.VrpFileError):
            read_bytes(content, name, strict=False)
        refused += 1
    assert refused > 50
