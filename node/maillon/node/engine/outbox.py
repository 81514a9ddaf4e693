"""Give records company on their way into gossip: a message costs milliseconds, a record little.

A record leaves at once when the line is idle. While it is busy, records wait at most
`OUTBOX_COALESCE_S` and leave together, in messages of at most 64 KiB (spec/04, "Batches").

Sources take turns, a record each: what one peer pours in cannot delay what our own people wrote by
more than its share. Each source has a bounded room; what does not fit is counted and left to
reconciliation.
"""

from __future__ import annotations

from collections import deque

from maillon.node import bounds
from maillon.protocol.gossip import encode_batches
from maillon.protocol.limits import BATCH_BYTES_MAX

# Room that the batch's own framing takes at most: an array of two, an array of records.
_FRAMING_BYTES = 16
_RECORD_FRAMING_BYTES = 3


class Outbox:
    """Queue encoded records by source and hand out gossip messages when they are due."""

    def __init__(
        self,
        *,
        coalesce_s: float = bounds.OUTBOX_COALESCE_S,
        source_bytes_max: int = bounds.OUTBOX_SOURCE_BYTES_MAX,
        sources_max: int = bounds.OUTBOX_SOURCES_MAX,
        batches_max: int = bounds.OUTBOX_BATCHES_PER_FLUSH_MAX,
    ) -> None:
        self._coalesce_s = coalesce_s
        self._source_bytes_max = source_bytes_max
        self._sources_max = sources_max
        self._batches_max = batches_max
        # Dictionary order is the order of turns: a source that was served goes to the end.
        self._queues: dict[bytes, deque[bytes]] = {}
        self._source_bytes: dict[bytes, int] = {}
        self._bytes = 0
        self._count = 0
        self._last: float | None = None
        self.dropped = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes_held(self) -> int:
        """Return the bytes of all queued records."""
        return self._bytes

    def push(self, source: bytes, record: bytes) -> bool:
        """Queue one encoded record; return False when its source's room is full."""
        held = self._source_bytes.get(source, 0)
        if held + len(record) > self._source_bytes_max or (
            not held and len(self._queues) >= self._sources_max
        ):
            self.dropped += 1
            return False
        self._queues.setdefault(source, deque()).append(record)
        self._source_bytes[source] = held + len(record)
        self._bytes += len(record)
        self._count += 1
        return True

    def due(self, now: float) -> float | None:
        """Return when `flush` would next hand out something, or None when nothing is queued."""
        if not self._count:
            return None
        if self._last is None or self._bytes >= BATCH_BYTES_MAX or now < self._last:
            return now
        return max(now, self._last + self._coalesce_s)

    def flush(self, now: float) -> list[bytes]:
        """Return the messages that are due now, at most `OUTBOX_BATCHES_PER_FLUSH_MAX`."""
        due = self.due(now)
        if due is None or due > now:
            return []
        self._last = now
        batches: list[bytes] = []
        while self._count and len(batches) < self._batches_max:
            batches.extend(encode_batches(self._take_one_batch()))
        return batches

    def _take_one_batch(self) -> list[bytes]:
        records: list[bytes] = []
        room = BATCH_BYTES_MAX - _FRAMING_BYTES
        while self._queues and len(records) < bounds.GOSSIP_RECORDS_MAX:
            source = next(iter(self._queues))
            queue = self._queues.pop(source)
            record = queue[0]
            room -= len(record) + _RECORD_FRAMING_BYTES
            if room < 0 and records:
                # Its turn is kept: it opens the next batch.
                self._queues = {source: queue, **self._queues}
                break
            queue.popleft()
            records.append(record)
            self._bytes -= len(record)
            self._count -= 1
            self._source_bytes[source] -= len(record)
            if queue:
                self._queues[source] = queue
            else:
                del self._source_bytes[source]
        return records
