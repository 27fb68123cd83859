"""Processes one after another over one state directory, on disks that fail or end them."""

import errno
import itertools
import os
import random
import stat

from rov import Aspa, Prefix, RouterKey, Snapshot, Vrp
from rtr_server.cache.store import Disk, Store
from rtr_server.protocol.source import Timing


def vrps(*numbers):
    """IPv4, IPv6, ASPAs and router keys, all different with the numbers."""
    prefixes = [Prefix(4, number << 8, 24) for number in numbers]
    prefixes += [Prefix(6, number << 80, 48) for number in numbers if number % 2]
    return Snapshot.from_vrps(
        [Vrp(prefix, prefix.length, 64496) for prefix in prefixes],
        [Aspa(64496, tuple(sorted(numbers)))] if numbers else [],
        [RouterKey(number, bytes(20), b"\x30\x00") for number in numbers],
    )


SETS = [vrps(1, 2), vrps(1, 2, 3), vrps(2, 3), vrps(2, 3, 4, 5), vrps(1, 2)]


class Killed(BaseException):
    """Not an Exception: nothing of the process goes on after it."""


class FastDisk(Disk):
    """Where the process, not the machine, is what fails, nothing need reach the disk."""

    def sync(self, file):
        pass


class KillingDisk(FastDisk):
    """Ends everything at the k-th call: before it, after half of it; ``cut``: what was not synced is lost."""

    def __init__(self, fatal, *, half=False, cut=False):
        self.calls = 0
        self.fatal, self.half, self.cut = fatal, half, cut
        self.undo = []

    def _count(self, begin=lambda: None):
        self.calls += 1
        if self.calls == self.fatal:
            if self.half:
                begin()
            if self.cut:
                for _, step in reversed(self.undo):
                    step()
            raise Killed

    def write(self, file, octets, at):
        self._count(lambda: os.pwrite(file, octets[: len(octets) // 2], at))
        path = os.readlink(f"/proc/self/fd/{file}")
        self.undo.append((path, lambda: zero(path, at, len(octets))))
        return super().write(file, octets, at)

    def sync(self, file):
        self._count()
        super().sync(file)
        path = os.readlink(f"/proc/self/fd/{file}")
        synced = "name" if stat.S_ISDIR(os.fstat(file).st_mode) else path
        self.undo = [entry for entry in self.undo if entry[0] != synced]

    def rename(self, path, target):
        self._count(lambda: Disk.rename(self, path, target))
        old = target.read_bytes() if target.exists() else None
        super().rename(path, target)
        self.undo.append(("name", lambda: put_back(target, old)))

    def remove(self, path):
        self._count(lambda: Disk.remove(self, path))
        old = path.read_bytes() if path.exists() else None
        super().remove(path)
        self.undo.append(("name", lambda: put_back(path, old)))


def zero(path, at, size):
    if os.path.exists(path):
        with open(path, "r+b") as file:
            file.seek(at)
            file.write(bytes(size))


def put_back(path, old):
    path.unlink(missing_ok=True)
    if old is not None:
        path.write_bytes(old)


class FailingDisk(FastDisk):
    """The k-th call fails, and all after it until ``healed`` if it is to stay so."""

    def __init__(self, first, *, stays):
        self.calls = 0
        self.first, self.stays = first, stays

    def _count(self):
        self.calls += 1
        if self.calls == self.first or (self.stays and self.calls > self.first):
            raise OSError(errno.ENOSPC, "No space left on device")

    def healed(self):
        self.first, self.stays = 0, False

    def write(self, file, octets, at):
        half = octets[: max(1, len(octets) // 2)]  # a disk may also take less than it is given
        try:
            self._count()
        except OSError:
            super().write(file, half, at)
            raise
        return super().write(file, half, at)

    def sync(self, file):
        self._count()
        super().sync(file)

    def rename(self, path, target):
        self._count()
        super().rename(path, target)

    def remove(self, path):
        self._count()
        super().remove(path)


class Life:
    """One process after another over one directory, and what their routers were told."""

    def __init__(self, directory):
        self.directory = directory
        self.now = 1_000.0
        self.told = []
        self.store = None
        # drawn anew for each process, but the same in each run: of 65,536 ids two are alike now and then
        self._seeds = itertools.count()

    def start(self, disk=None, *, synthetic=False, seed=None):
        self.end()
        seed = next(self._seeds) if seed is None else seed
        self.store = Store(
            self.directory,
            synthetic=synthetic,
            chosen=random.Random(seed),
            wall=lambda: 1_700_000_000 + self.now,
            clock=lambda: self.now,
            disk=disk or FastDisk(),
        )
        self.history = self.store.open(Timing())
        if self.history.ready():
            self.tell()

    def end(self):
        if self.store is not None:
            self.store.close()

    def serve(self, snapshot):
        self.now += 60
        delta = self.history.update(snapshot, self.now)
        self.history = self.store.save(self.history, delta)
        self.tell()

    def tell(self):
        self.told.append((dict(self.history.session_ids), self.history.serial, self.history.snapshot))

    def check(self):
        """Every router that was ever told anything gets the right diff or Cache Reset; who got a diff."""
        known = []
        for ids, serial, snapshot in self.told:
            shared = set(ids.values()) & set(self.history.session_ids.values())
            assert ids == self.history.session_ids or not shared
            right = False
            if shared and self.history.ready() and self.history.diff(1, serial) is not None:
                delta = self.history.delta_since(serial)
                assert (delta.apply(snapshot) if delta else snapshot) == self.history.snapshot
                right = True
            known.append(right)
        return known
