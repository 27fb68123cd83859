"""The archive on disk: rotation, retention, torn ends, damage, one writer, what each tells."""

import os

import numpy as np
import pytest

from rov import ArchiveError, Aspa, Delta, Prefix, Snapshot, State, Vrp, VrpColumns
from rov.archive import Archive, History
from rov.archive import segment as segment_module
from rov.archive import writer as writer_module


def vrp(text, asn, max_length=None):
    prefix = Prefix.parse(text)
    return Vrp(prefix, max_length or prefix.length, asn)


A, B, C = vrp("192.0.2.0/24", 64496), vrp("192.0.0.0/16", 64497, 24), vrp("2001:db8::/32", 64496)
SETS = [[], [A], [A, B], [B, C], [C], []]


def fill(folder, sets=SETS, step=100, start=0, **options):
    """An archive with one record for each set."""
    with Archive(folder, **options) as archive:
        for place, vrps in enumerate(sets, start):
            archive.append(
                Snapshot.from_vrps(vrps), time=1000 + step * place, serial=place, source="x", why="y"
            )


def logs(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".rovlog"))


def test_each_moment_is_answered(tmp_path):
    fill(tmp_path)
    history = History(tmp_path)
    for place, vrps in enumerate(SETS):
        for at in (1000 + 100 * place, 1099 + 100 * place):
            assert history.snapshot(at=at) == Snapshot.from_vrps(vrps)
    assert history.snapshot(at=10**10) == Snapshot.empty()
    assert [update.serial for update in history.updates()] == [0, 1, 2, 3, 4, 5]
    assert history.covering("192.0.2.0/25", at=1200) == (B, A)
    assert history.state("192.0.2.0/24", 64496, at=1200) is State.VALID
    with pytest.raises(ArchiveError, match="nothing is known of 999, expected 1000 or later"):
        history.snapshot(at=999)
    with pytest.raises(ArchiveError, match="expected records, found none"):
        History(tmp_path.parent).snapshot(at=999)


def test_what_happened_to_a_route(tmp_path):
    fill(tmp_path)
    changes = list(History(tmp_path).changes("192.0.2.0/24", 64496))
    assert [(c.update.time, c.before.label, c.after.label, c.causes) for c in changes] == [
        (1100, "not_found", "valid", (A,)),
        (1300, "valid", "invalid", (A,)),
        (1400, "invalid", "not_found", (B,)),
    ]
    assert [(c.withdrawn, c.announced) for c in History(tmp_path).changes("192.0.2.0/24")] == [
        ((), (A,)),
        ((), (B,)),
        ((A,), ()),
        ((B,), ()),
    ]


def test_since_leaves_out_the_days_before(tmp_path):
    fill(tmp_path, step=90_000)
    history = History(tmp_path)
    assert len(logs(tmp_path)) == len(SETS)
    third = 1000 + 2 * 90_000
    assert [update.serial for update in history.updates(since=third)] == [2, 3, 4, 5]
    assert [update.serial for update in history.updates(since=third - 1)] == [1, 2, 3, 4, 5]
    assert len(list(history.updates(since=0))) == len(SETS)
    assert len(list(history.updates(since=10**10))) == 1
    changes = history.changes("192.0.2.0/24", 64496, since=third)
    assert [(c.update.serial, c.after.label) for c in changes] == [(3, "invalid"), (4, "not_found")]


@pytest.mark.parametrize("step", [100, 90_000], ids=["changes", "whole sets"])
def test_counts_by_trust_anchor(tmp_path, step):
    def made(*rows):
        columns = VrpColumns.ipv4(
            *np.array([(place << 24, 8, 8, 1) for place, _ in rows]).T, ta=[ta for _, ta in rows]
        )
        return Snapshot.build(columns, trust_anchors=["ripe", "apnic"])

    with Archive(tmp_path) as archive:
        for place, snapshot in enumerate(
            [made((1, 0), (2, 0), (3, 1)), made((1, 0)), made((1, 0), (4, 1), (5, 1))]
        ):
            archive.append(snapshot, time=1000 + step * place, serial=place, source="x")
    counts = [each.vrps for each in History(tmp_path).counts()]
    assert counts == [{"ripe": 2, "apnic": 1}, {"ripe": 1}, {"ripe": 1, "apnic": 2}]
    assert [each.update.serial for each in History(tmp_path).counts(since=1000 + 2 * step)][-1:] == [2]


def test_the_same_payload_is_no_record(tmp_path):
    with Archive(tmp_path) as archive:
        renewed = Snapshot.build(VrpColumns.ipv4([0], [8], [8], [1], expires=[1]))
        assert archive.append(renewed, time=1, serial=1, source="x")
        renewed = Snapshot.build(VrpColumns.ipv4([0], [8], [8], [1], expires=[2]))
        assert not archive.append(renewed, time=2, serial=2, source="x")
    with Archive(tmp_path) as archive:
        assert not archive.append(renewed, time=3, serial=1, source="x")
        assert archive.append(Snapshot.empty(), time=3, serial=1, source="x")
    assert len(list(History(tmp_path).updates())) == 2


def test_a_new_segment_begins_with_age_with_records_and_with_size(tmp_path, monkeypatch):
    fill(tmp_path / "age", step=50_000)
    assert logs(tmp_path / "age") == [
        "00000001-1000.rovlog",
        "00000002-101000.rovlog",
        "00000003-201000.rovlog",
    ]
    monkeypatch.setattr(writer_module, "SEGMENT_RECORDS", 3)
    fill(tmp_path / "records")
    assert len(logs(tmp_path / "records")) == 2
    monkeypatch.undo()
    crowd = [[vrp(f"10.{n % 256}.{n // 256}.0/24", n) for n in range(k, k + 9000)] for k in (0, 9000, 18000)]
    fill(tmp_path / "size", [*crowd, *crowd, *crowd])
    assert len(logs(tmp_path / "size")) > 1
    assert History(tmp_path / "size").snapshot(at=1850) == Snapshot.from_vrps(crowd[2])


def test_what_is_too_old_goes_and_the_newest_stays(tmp_path):
    fill(tmp_path, [[A], [B]] * 10, step=86_400, keep_seconds=3 * 86_400)
    history = History(tmp_path)
    times = [update.time for update in history.updates()]
    assert times == [1000 + 86_400 * place for place in range(16, 20)]
    assert history.covering("192.0.2.0/24", at=times[-1] - 3 * 86_400) == (A,)
    fill(tmp_path, [[C]], start=400, step=86_400, keep_seconds=0)
    assert len(logs(tmp_path)) == 1


def test_what_is_too_much_goes_and_the_newest_stays(tmp_path):
    fill(tmp_path, [[A], [B]] * 10, step=86_400)
    size = sum((tmp_path / name).stat().st_size for name in logs(tmp_path))
    fill(tmp_path, [[A], [B]], start=30, step=86_400, keep_octets=size // 2)
    assert sum((tmp_path / name).stat().st_size for name in logs(tmp_path)) <= size // 2
    fill(tmp_path, [[A], [B]], start=40, step=86_400, keep_octets=0)
    assert len(logs(tmp_path)) == 1


def test_a_clock_that_steps_back_does_not_turn_time_round(tmp_path):
    with Archive(tmp_path) as archive:
        for time, vrps in ((100, [A]), (50, [B]), (120, [C])):
            archive.append(Snapshot.from_vrps(vrps), time=time, serial=time, source="x")
    assert [update.time for update in History(tmp_path).updates()] == [100, 100, 120]
    assert list(History(tmp_path).snapshot(at=100)) == [B]


def test_a_torn_end_is_set_aside_wherever_it_tears(tmp_path):
    fill(tmp_path / "whole")
    (name,) = logs(tmp_path / "whole")
    octets = (tmp_path / "whole" / name).read_bytes()
    records, end, _ = segment_module.segments(tmp_path / "whole")[0].read()
    assert end == len(octets)
    near = {end + off for end in _ends(records) for off in (-1, 0, 1, 11, 12, 13)}
    for cut in sorted(near & {*range(len(octets))} | {*range(0, len(octets), 61)}):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        for left in folder.iterdir():
            left.unlink()
        (folder / name).write_bytes(octets[:cut])
        kept = len(segment_module.segments(folder)[0].read()[0])
        assert kept < len(records)
        if kept:  # a reader is not troubled
            assert History(folder).snapshot(at=10**9) == Snapshot.from_vrps(SETS[kept - 1])
        with Archive(folder) as archive:
            clean = cut in _ends(records)
            assert bool(archive.notes) == (not clean)
            archive.append(Snapshot.from_vrps([A, B, C]), time=5000, serial=9, source="x")
        assert History(folder).snapshot(at=5000) == Snapshot.from_vrps([A, B, C])
        if kept:
            assert History(folder).snapshot(at=4999) == Snapshot.from_vrps(SETS[kept - 1])


def _ends(records):
    """Where each record ends, and the beginning."""
    ends = [0]
    for record in records:
        ends.append(ends[-1] + len(segment_module.frame(record)))
    # an empty file is nothing that anyone wrote by half
    return ends


def test_the_torn_piece_is_kept(tmp_path):
    fill(tmp_path)
    (name,) = logs(tmp_path)
    with open(tmp_path / name, "ab") as file:
        file.write(b"rovA half a frame")
    with Archive(tmp_path) as archive:
        assert archive.notes == (
            f"{tmp_path / name}: 17 octets at its end are no sound record: moved to 00000001-1000.torn",
        )
    assert (tmp_path / "00000001-1000.torn").read_bytes() == b"rovA half a frame"
    with Archive(tmp_path) as archive:
        assert archive.notes == ()


def test_damage_in_the_past_is_told_and_not_guessed_over(tmp_path):
    fill(tmp_path, step=40_000)
    first, second = logs(tmp_path)
    octets = bytearray((tmp_path / first).read_bytes())
    octets[-1] ^= 1
    (tmp_path / first).write_bytes(octets)
    history = History(tmp_path)
    assert history.snapshot(at=41_000) == Snapshot.from_vrps(SETS[1])
    with pytest.raises(ArchiveError, match=r"rovlog: damaged from octet .* on: what held at 81000 is lost"):
        history.snapshot(at=81_000)
    assert history.snapshot(at=121_000) == Snapshot.from_vrps(SETS[3])
    assert second
    # the change itself is lost, its effect is not
    assert [c.update.time for c in history.changes("192.0.2.0/24", 64496)] == [41_000, 121_000, 161_000]


def test_a_file_of_something_else_is_no_archive(tmp_path):
    (tmp_path / "00000001-5.rovlog").write_bytes(os.urandom(1000))
    with pytest.raises(ArchiveError, match="damaged from octet 0"):
        History(tmp_path).snapshot(at=10)
    with Archive(tmp_path) as archive:
        assert len(archive.notes) == 1
        assert archive.append(Snapshot.from_vrps([A]), time=20, serial=1, source="x")
    assert list(History(tmp_path).snapshot(at=20)) == [A]


def test_one_writer_at_a_time(tmp_path):
    with Archive(tmp_path):
        with pytest.raises(ArchiveError, match="another process writes"):
            Archive(tmp_path)
        assert History(tmp_path).directory == tmp_path
    Archive(tmp_path).close()


def test_a_closed_archive_takes_nothing(tmp_path):
    archive = Archive(tmp_path)
    archive.close()
    with pytest.raises(ArchiveError, match="closed"):
        archive.append(Snapshot.empty(), time=1, serial=1, source="x")


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArchiveError, match="cannot be used"):
        Archive(tmp_path / "file" / "archive")
    with pytest.raises(ArchiveError, match="cannot be read"):
        list(History(tmp_path / "none").updates())


def test_a_directory_in_which_an_earlier_writer_left_what_cannot_be_removed(tmp_path):
    fill(tmp_path)
    (tmp_path / "00000009-1.new").mkdir()
    with pytest.raises(ArchiveError, match=f"{tmp_path}: cannot be gone on with: Is a directory"):
        Archive(tmp_path)
    (tmp_path / "00000009-1.new").rmdir()
    Archive(tmp_path).close()


@pytest.mark.parametrize("at", ["sync", "write"])
def test_a_full_disk_loses_one_record_and_no_change(tmp_path, monkeypatch, at):
    with Archive(tmp_path) as archive:
        archive.append(Snapshot.from_vrps([A]), time=100, serial=1, source="x")
        (name,) = logs(tmp_path)
        size = (tmp_path / name).stat().st_size

        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(*((os, "fsync") if at == "sync" else (writer_module, "packed")), full)
        with pytest.raises(ArchiveError, match="No space left"):
            archive.append(Snapshot.from_vrps([B]), time=200, serial=2, source="x")
        monkeypatch.undo()
        assert (tmp_path / name).stat().st_size == size
        assert archive.append(Snapshot.from_vrps([B, C]), time=300, serial=3, source="x")
    history = History(tmp_path)
    assert history.snapshot(at=299) == Snapshot.from_vrps([A])
    assert history.snapshot(at=300) == Snapshot.from_vrps([B, C])
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".new")]


def test_aspas_and_router_keys_are_kept_too(tmp_path):
    sets = [Snapshot.from_vrps([], aspas=[Aspa(1, (2,))]), Snapshot.from_vrps([], aspas=[Aspa(1, (2, 3))])]
    with Archive(tmp_path) as archive:
        for place, snapshot in enumerate(sets):
            archive.append(snapshot, time=place, serial=place, source="x")
    assert [History(tmp_path).snapshot(at=at) for at in (0, 1)] == sets


@pytest.mark.realdata
def test_the_real_half_hour(tmp_path, first_snapshot, second_snapshot):
    with Archive(tmp_path) as archive:
        archive.append(first_snapshot, time=1753003893, serial=1, source="x")
        archive.append(second_snapshot, time=1753005703, serial=2, source="x")
    assert sum((tmp_path / name).stat().st_size for name in logs(tmp_path)) < 4_000_000
    history = History(tmp_path)
    assert history.snapshot(at=1753003900) == first_snapshot
    assert history.snapshot(at=1753005703) == second_snapshot
    assert history.snapshot(at=1753005703).trust_anchors == second_snapshot.trust_anchors
    delta = Delta.between(first_snapshot, second_snapshot)
    for change in (*delta.withdrawn, *delta.announced):
        (found,) = history.changes(change.prefix)
        assert change in (*found.withdrawn, *found.announced)
