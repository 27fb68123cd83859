"""Where the verdicts on RIB dumps are worked out: ``threads`` of this process, or a cluster by ``spark``.

The kernel is the same, ``Iterator[RecordBatch] -> Iterator[RecordBatch]``, names of dumps in and judged
routes out; what it gives is folded into one table here, in the order of the names, so that every engine has
the same answer.
"""

from __future__ import annotations
