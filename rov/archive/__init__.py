"""Time travel: every accepted update on disk, and what it says of a prefix at any time kept.

>>> import tempfile
>>> from rov import Prefix, Snapshot, Vrp, archive
>>> vrp = Vrp(Prefix.parse("192.0.2.0/24"), 24, 64496)
>>> with tempfile.TemporaryDirectory() as folder, archive.Archive(folder) as writer:
...     _ = writer.append(Snapshot.empty(), time=1700000000, serial=1, source="vrps.json")
...     _ = writer.append(Snapshot.from_vrps([vrp]), time=1700000600, serial=2, source="vrps.json")
...     (change,) = archive.History(folder).changes("192.0.2.0/24", 64496)
>>> change.update.time, change.after.label, str(change.causes[0])
(1700000600, 'valid', '192.0.2.0/24-24 AS64496')
"""

from rov.archive.reader import Change, Counts, History, Update
from rov.archive.writer import KEEP_OCTETS, KEEP_SECONDS, Archive

__all__ = ["KEEP_OCTETS", "KEEP_SECONDS", "Archive", "Change", "Counts", "History", "Update"]
