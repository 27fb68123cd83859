"""The store: killed, cut off, full or damaged at every write, no router is ever given wrong data."""

import logging
import random

import msgpack
import numpy as np
import pytest

from rov import Snapshot, VrpColumns
from rtr_server.cache import records
from rtr_server.cache.history import History, Keep, new_ids
from rtr_server.cache.store import REWRITE_SECONDS, StoreError
from rtr_server.protocol.source import Timing
from tests.store_lives import SETS, FailingDisk, Killed, KillingDisk, Life, vrps

MAX_OPERATIONS = 200


@pytest.fixture
def life(tmp_path):
    found = Life(tmp_path / "state")
    yield found
    found.end()


def two_processes(life, disk):
    """A first start, added steps, a journal written anew; then a restart, and the same again."""
    for _ in range(2):
        life.start(disk)
        for snapshot in SETS[:3]:
            life.serve(snapshot)
        life.now += REWRITE_SECONDS
        for snapshot in SETS[3:]:
            life.serve(snapshot)


def test_all_of_it_is_there_after_a_restart(life):
    life.start()
    for snapshot in SETS:
        life.serve(snapshot)
    before = life.history
    life.start()
    assert life.history.session_ids == before.session_ids
    assert (life.history.serial, life.history.serials) == (before.serial, before.serials)
    assert life.history.snapshot == before.snapshot
    assert [delta for *_, delta in life.history.steps()] == [delta for *_, delta in before.steps()]
    assert [made for _, made, _ in life.history.steps()] == pytest.approx(
        [made for _, made, _ in before.steps()]
    )
    assert life.check() == [True] * 6


@pytest.mark.parametrize("how", [{}, {"half": True}, {"cut": True}, {"half": True, "cut": True}])
def test_killed_at_every_write(tmp_path, how):
    for fatal in range(1, MAX_OPERATIONS):
        life = Life(tmp_path / str(fatal))
        disk = KillingDisk(fatal, **how)
        try:
            two_processes(life, disk)
        except Killed:
            told = len(life.told)
            life.start()
            known = life.check()
            assert not told or known[told - 1], f"call {fatal}: the last one told has to start anew"
            life.serve(vrps(7, 8))
            life.check()
            life.start()
            assert life.history.snapshot == vrps(7, 8)
            life.check()
            assert not list(life.directory.glob("*.damaged"))
            life.end()
        else:
            life.end()
            break
    assert disk.calls < fatal < MAX_OPERATIONS
    assert fatal > 50


@pytest.mark.parametrize("stays", [True, False])
def test_a_disk_that_fails_at_every_write(tmp_path, caplog, stays):
    for first in range(1, MAX_OPERATIONS):
        life = Life(tmp_path / str(first))
        disk = FailingDisk(first, stays=stays)
        two_processes(life, disk)
        assert life.history.snapshot == SETS[-1], "it goes on serving"
        if disk.calls < first:
            life.end()
            break
        crashed = life.told[-1]
        life.start()
        life.check()
        life.serve(vrps(9))
        life.check()
        life.told.append(crashed)
        life.check()
        life.end()
    assert 50 < first < MAX_OPERATIONS
    assert any("state not saved" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("first", range(1, 40, 3))
def test_a_disk_that_has_room_again(life, first):
    disk = FailingDisk(first, stays=True)
    two_processes(life, disk)
    disk.healed()
    life.serve(vrps(6))
    last = life.history
    life.start()
    assert (life.history.session_ids, life.history.serial) == (last.session_ids, last.serial)
    assert life.check()[-1]


def test_a_failed_save_whose_head_stays_is_another_session(life):
    life.start()
    life.serve(SETS[0])
    before = life.history
    life.start(FailingDisk(1, stays=True))
    life.serve(SETS[1])
    assert not set(life.history.session_ids.values()) & set(before.session_ids.values())
    assert life.history.full(1).session_id == life.history.session_ids[1]
    life.start()
    assert (life.history.session_ids, life.history.serial) == (before.session_ids, before.serial)
    life.serve(SETS[2])
    life.check()


def test_a_failed_save_whose_head_goes_is_the_same_session(life):
    life.start()
    life.serve(SETS[0])
    before = dict(life.history.session_ids)
    life.start(FailingDisk(1, stays=False))
    life.serve(SETS[1])
    assert life.history.session_ids == before
    life.start()
    assert not life.history.ready()
    assert not set(life.history.session_ids.values()) & set(before.values())


@pytest.mark.parametrize("name", ["head", "journal-1", "session-ids"])
def test_damage_all_over_a_file(life, caplog, name):
    life.start(seed=1)
    life.serve(SETS[0])
    life.serve(SETS[1])
    old = dict(life.history.session_ids)
    life.end()
    whole = {path.name: path.read_bytes() for path in life.directory.iterdir()}
    octets = whole[name]
    damages = [octets[:at] + bytes([octets[at] ^ 0x55]) + octets[at + 1 :] for at in range(0, len(octets), 3)]
    damages += [octets[:at] for at in range(0, len(octets), 16)]
    for damaged in damages:
        for path in life.directory.iterdir():
            path.unlink()
        for each, content in whole.items():
            (life.directory / each).write_bytes(damaged if each == name else content)
        caplog.clear()
        life.start(seed=1)  # the same chance as the first time: only what is remembered makes a difference
        assert any("state damaged, set aside" in record.getMessage() for record in caplog.records)
        assert (life.directory / f"{name}.damaged").read_bytes() == damaged
        if name == "session-ids":
            assert life.history.session_ids == old
        else:
            assert not life.history.ready()
            assert not set(life.history.session_ids.values()) & set(old.values())
        life.serve(SETS[2])
        life.check()
        life.end()


def test_damage_behind_the_head_does_not_matter(life):
    life.start()
    life.serve(SETS[0])
    with (life.directory / "journal-1").open("ab") as file:
        file.write(b"half a step")
    life.start()
    assert life.history.snapshot == SETS[0]
    life.serve(SETS[1])
    life.start()
    assert life.history.snapshot == SETS[1]
    assert all(life.check())


def test_an_older_journal_under_the_head_is_damage(life):
    """Whole records, but not those that the head was written for."""
    life.start()
    life.serve(SETS[0])
    old = (life.directory / "journal-1").read_bytes()
    head = records.read_one((life.directory / "head").read_bytes(), records.Head)
    life.serve(SETS[1])
    life.end()
    (life.directory / "journal-1").write_bytes(old)
    life.start()
    assert not life.history.ready()
    assert head.octets == len(old)
    assert (life.directory / "journal-1.damaged").exists()


def test_another_format_is_set_aside(life, monkeypatch, caplog):
    monkeypatch.setattr(records, "FORMAT", 2)
    life.start()
    life.serve(SETS[0])
    monkeypatch.undo()
    life.start()
    assert not life.history.ready()
    assert (life.directory / "head.damaged").exists()
    assert "format 2: expected 1" in str([record.fields for record in caplog.records])


def test_a_head_cannot_name_a_file_elsewhere(life):
    life.start()
    life.serve(SETS[0])
    life.end()
    head = life.directory / "head"
    crooked = records.read_one(head.read_bytes(), records.Head)
    outside = life.directory.parent / "outside"
    (life.directory / "journal-1").rename(outside)
    named = {name: getattr(crooked, name) for name in crooked.__struct_fields__} | {"journal": "../outside"}
    head.write_bytes(b"".join(records.seal(b"", records.Head(**named))[1]))
    life.start()
    assert not life.history.ready()
    assert outside.exists()


def test_made_up_data_and_real_ones_do_not_continue_each_other(life):
    life.start(synthetic=True)
    life.serve(SETS[0])
    life.start(synthetic=False)
    assert not life.history.ready()
    life.serve(SETS[1])
    life.check()
    assert not set(life.told[0][0].values()) & set(life.told[-1][0].values())


def test_times_of_expiry_and_trust_anchors_come_back(life):
    columns = VrpColumns.ipv6(
        np.array([[1 << 63, 0]], np.uint64), [1], [48], [2**32 - 1], [1_800_000_000], [1]
    )
    given = Snapshot.build(None, columns, trust_anchors=["a", "ü"], generated=7)
    life.start()
    life.serve(given)
    life.start()
    found = life.history.snapshot
    assert found == given
    assert (found.ipv6.expires.tolist(), found.ipv6.ta.tolist()) == ([1_800_000_000], [1])
    assert (found.trust_anchors, found.generated) == (("a", "ü"), 7)


def test_renewed_times_are_written_once_an_hour(life):
    def renewed(expires):
        return Snapshot.build(VrpColumns.ipv4([0], [0], [8], [64496], [expires]))

    life.start()
    life.serve(renewed(1))
    disk = KillingDisk(0)
    life.store._disk = disk
    life.serve(renewed(2))
    assert disk.calls == 0, "nothing that a router could see has changed"
    life.now += REWRITE_SECONDS
    life.serve(renewed(3))
    life.start()
    assert life.history.snapshot.next_expiry() == 3


def test_a_journal_does_not_grow_for_ever(life, monkeypatch):
    monkeypatch.setattr("rtr_server.cache.store.REWRITE_OCTETS", 1_000)
    life.start()
    for count in range(60):
        life.serve(vrps(count % 7))
        if count % 10 == 9:
            life.start()
    (journal,) = life.directory.glob("journal-*")
    assert int(journal.name.split("-")[1]) > 3
    life.start()
    assert all(life.check())


def test_a_step_too_large_to_be_retained(life):
    life.start()
    life.history = History(life.history.session_ids, 5, timing=Timing(), keep=Keep(octets=0))
    life.serve(SETS[0])
    life.serve(SETS[1])
    life.start()
    assert (life.history.snapshot, life.history.serials) == (SETS[1], [])


def test_a_directory_has_one_owner(life, tmp_path):
    life.start()
    with pytest.raises(StoreError, match="another process uses it"):
        Life(life.directory).start()
    life.start()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="File exists"):
        Life(tmp_path / "file").start()


def test_after_close_nothing_is_written(life):
    life.start()
    life.serve(SETS[0])
    before = {path: path.read_bytes() for path in life.directory.iterdir()}
    life.end()
    life.serve(SETS[1])
    assert {path: path.read_bytes() for path in life.directory.iterdir()} == before


def test_new_ids_avoid_the_old():
    assert set(new_ids(random.Random(1), avoid=range(3, 65_536)).values()) == {0, 1, 2}
    with pytest.raises(ValueError, match="65,534 session ids to avoid leave none for 3 versions"):
        new_ids(random.Random(1), avoid=range(2, 65_536))


def test_an_update_is_on_disk_before_it_is_served(life):
    """A process that is killed between the save and the swap has told nobody: the disk is ahead."""
    life.start()
    life.serve(SETS[0])
    told = list(life.told)
    life.serve(SETS[1])
    life.told = told
    life.start()
    assert life.history.snapshot == SETS[1]
    assert all(life.check())


def test_a_failure_is_said_with_its_reason(life, caplog):
    caplog.set_level(logging.INFO, "rtr_server")
    life.start(FailingDisk(1, stays=True))
    life.serve(SETS[0])
    said = [record.fields["error"] for record in caplog.records if record.getMessage() == "state not saved"]
    assert "No space left" in str(said[0])


def test_large_columns_are_not_copied():
    """What is written is one msgpack record all the same, the columns as they lie in memory."""
    rows = 100_000
    columns = VrpColumns.ipv4(np.arange(rows) << 8, np.full(rows, 24), np.full(rows, 24), np.full(rows, 1))
    base = records.Base(1.5, 0, records.SnapshotRecord.of(Snapshot.build(columns)))
    sealed, pieces = records.seal(b"before", base)
    large = [piece for piece in pieces if isinstance(piece, memoryview)]
    kept = (*columns.keys, columns.expires, columns.ta)
    assert all(np.shares_memory(*pair) for pair in zip(large, kept, strict=True))
    octets = b"".join(pieces)
    assert b"".join(records.joined(pieces)) == octets
    assert records.size(pieces) == len(octets)
    read_seal, body = msgpack.unpackb(octets)
    assert read_seal == sealed
    again = records.read(body, records.Base).snapshot.snapshot()
    assert again.ipv4.address.tolist() == columns.address.tolist()
