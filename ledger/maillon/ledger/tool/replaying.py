"""Replay the chains of an export, all cores at once, each chain from where the last audit left off.

A worker holds the charters and one chain at a time. What it hands back is a `ChainResult`.
"""

from __future__ import annotations

import gc
import hashlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from maillon.ledger.audit.chain import ChainAudit, ChainResult, result_of
from maillon.ledger.audit.findings import Finding, finding
from maillon.ledger.audit.snapshot import Snapshot, decode_snapshot, encode_snapshot, resume
from maillon.ledger.block import decode_block
from maillon.ledger.charter import CharterChain
from maillon.ledger.export.bounds import CHUNK_BYTES
from maillon.ledger.export.container import ExportDamaged, chain_path, frames
from maillon.ledger.signing import Check
from maillon.ledger.tool.files import ExportReader
from maillon.ledger.tool.progress import Progress
from maillon.ledger.tool.verifying import best_verify, threaded
from maillon.protocol.founding import Founding, decode_founding

# Below this, starting processes takes longer than the audit.
SMALL_BYTES = 2_000_000
SNAPSHOT_BYTES_MAX = 2**32
_TICK_S = 0.1


@dataclass(frozen=True)
class Job:
    """What every worker is told at its start."""

    folder: Path
    founding: bytes
    charters: tuple[bytes, ...]
    cache: Path | None
    threads: int


def rebuilt(founding: Founding, blocks: Sequence[bytes]) -> CharterChain:
    """Return the charters of blocks whose signatures were verified before."""
    chain = CharterChain(founding, None, lambda checks: [True] * len(checks))
    for data in blocks:
        block = decode_block(data)
        chain.apply(block, block.certificate)
    return chain


class _Worker:
    """What one process keeps between chains."""

    def __init__(self, job: Job, done: Callable[[int, int], None]) -> None:
        self.reader = ExportReader(job.folder)
        self.charters = rebuilt(decode_founding(job.founding), job.charters)
        self.verify = threaded(best_verify()[0], job.threads)
        self.known = set[Check]()
        self.cache = job.cache
        self.done = done

    def replay(self, place: int, chain: bytes) -> ChainResult:
        return _Replay(self, place, chain).run()


class _Replay:
    """The replay of one chain."""

    def __init__(self, worker: _Worker, place: int, chain: bytes) -> None:
        self.worker = worker
        self.place = place
        self.chain = chain
        self.path = chain_path(chain)
        self.entry = worker.reader.manifest.files[self.path]
        self.findings: list[Finding] = []
        # Whether the file begins with the very bytes that the snapshot stands for.
        self.begins_alike = False

    def run(self) -> ChainResult:
        worker = self.worker
        snapshot = self._snapshot()
        audit, start, hasher = self._begin(snapshot)
        resumed = audit.head.h if start else 0
        read = self._feed(audit, start, hasher)
        audit.finish()
        if audit.bad_from is not None:
            audit = self._again(audit.bad_from, strict=not audit.broken)
        if snapshot is not None and not start:
            self._compare(snapshot, audit)
        good = not audit.stopped and not any(one.is_error for one in self.findings)
        if good and hasher.digest() != self.entry.digest:
            # The blocks hold, so what changed is outside them; still not what was exported.
            self.findings.append(finding("file_changed", self.chain, file=self.path))
            good = False
        # What an older copy ends with is no reason to forget what a newer one went on with.
        newest = snapshot is None or audit.head.h >= snapshot.height
        if good and newest and worker.cache is not None and (read > start or not start):
            _write_snapshot(worker.cache, self.chain, encode_snapshot(audit, read, hasher.digest()))
        worker.done(self.place, self.entry.size)
        result = result_of(audit, resumed=resumed)
        return replace(result, findings=(*result.findings, *self.findings))

    def _snapshot(self) -> Snapshot | None:
        if self.worker.cache is None:
            return None
        try:
            with open(_snapshot_path(self.worker.cache, self.chain), "rb") as file:
                data = file.read(SNAPSHOT_BYTES_MAX)
        except FileNotFoundError:
            return None
        return decode_snapshot(data, self.worker.charters.fed, self.chain)

    def _begin(self, snapshot: Snapshot | None) -> tuple[ChainAudit, int, Any]:
        """Return the audit, the offset it begins at, and the hash of the bytes before that."""
        worker = self.worker
        if snapshot is not None and snapshot.length <= self.entry.size:
            hasher = hashlib.sha256()
            try:
                for chunk in worker.reader.chunks(self.path, end=snapshot.length):
                    hasher.update(chunk)
            except (ExportDamaged, FileNotFoundError):
                pass
            self.begins_alike = hasher.digest() == snapshot.digest
            if self.begins_alike:
                audit = resume(
                    snapshot, self.chain, worker.charters, worker.verify, worker.known, quick=True
                )
                if audit is not None:
                    return audit, snapshot.length, hasher
        audit = ChainAudit(self.chain, worker.charters, worker.verify, worker.known, quick=True)
        return audit, 0, hashlib.sha256()

    def _feed(self, audit: ChainAudit, start: int, hasher: Any) -> int:
        """Replay what is in the file from `start`; return how far it was read."""
        read = start

        def hashed() -> Iterator[bytes]:
            nonlocal read
            for chunk in self.worker.reader.chunks(self.path, offset=start):
                hasher.update(chunk)
                read += len(chunk)
                self.worker.done(self.place, read)
                yield chunk

        try:
            for _, data in frames(hashed(), file=self.path):
                if not audit.feed(data):
                    break
        except FileNotFoundError:
            self.findings.append(finding("file_missing", self.chain, 1, file=self.path))
        except ExportDamaged as error:
            self.findings.append(
                finding(
                    "file_damaged",
                    self.chain,
                    audit.head.h + 1,
                    file=self.path,
                    offset=start + error.facts["offset"] if "offset" in error.facts else read,
                )
            )
        return read

    def _again(self, bad: int, *, strict: bool) -> ChainAudit:
        """Replay up to the bad block, and let that block say what it is, which signature if so."""
        worker = self.worker
        audit = ChainAudit(self.chain, worker.charters, lambda checks: [True] * len(checks))
        for _, data in worker.reader.frames(self.path):
            if audit.head.h + 1 == bad:
                audit.finish()
                audit.strict = strict
                audit._verify = worker.verify  # pyright: ignore[reportPrivateUsage]
            if not audit.feed(data):
                break
        return audit

    def _compare(self, snapshot: Snapshot, audit: ChainAudit) -> None:
        """Say what changed since an earlier audit whose file was another."""
        top = min(snapshot.height, audit.head.h)
        for height in range(1, top + 1):
            if audit.hash_at(height) != snapshot.hashes[32 * height : 32 * height + 32]:
                self.findings.append(finding("history_changed", self.chain, height))
                return
        if top < snapshot.height:
            if audit.stopped or self.findings:
                return  # why it ends there is said already
            # A copy taken before that block was made cannot hold it; one taken after it could.
            taken = self.worker.reader.manifest.at
            code = "older" if taken < snapshot.time else "shorter"
            self.findings.append(
                finding(code, self.chain, snapshot.height, snapshot.time, top=top, exported=taken)
            )
        elif not self.begins_alike:
            self.findings.append(finding("rewritten", self.chain, snapshot.height))


def _snapshot_path(folder: Path, chain: bytes) -> Path:
    return folder / f"{chain.hex()}.snapshot"


def _write_snapshot(folder: Path, chain: bytes, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = _snapshot_path(folder, chain)
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_bytes(data)
    os.replace(new, path)


# --- Processes ------------------------------------------------------------------------------------

_worker: _Worker | None = None


def _start(job: Job, counters: Any) -> None:
    global _worker
    # Millions of short-lived objects and no cycles among them: looking for cycles costs a tenth,
    # and this process does nothing else.
    gc.disable()

    def done(place: int, count: int) -> None:
        counters[place] = count

    _worker = _Worker(job, done)


def _work(place: int, chain: bytes) -> ChainResult:
    assert _worker is not None
    return _worker.replay(place, chain)


def replay_all(
    job: Job, chains: Sequence[bytes], sizes: Sequence[int], jobs: int, progress: Progress
) -> dict[bytes, ChainResult]:
    """Replay chains on `jobs` cores, the longest first; return what each led to."""
    order = sorted(range(len(chains)), key=lambda place: -sizes[place])
    if jobs < 2 or sum(sizes) < SMALL_BYTES or not chains:
        counts = [0] * len(chains)

        def done(place: int, count: int) -> None:
            counts[place] = count
            progress.update(sum(counts))

        here = _Worker(replace(job, threads=jobs if sum(sizes) >= SMALL_BYTES else 1), done)
        return {chains[place]: here.replay(place, chains[place]) for place in order}
    processes = min(jobs, len(chains))
    # Cores that no chain is left for help to verify the long ones.
    job = replace(job, threads=max(1, jobs // processes))
    # A process that has threads must not be copied as it stands.
    method = "fork" if threading.active_count() == 1 else "spawn"
    context = multiprocessing.get_context(method)
    counters = context.Array("Q", len(chains), lock=False)
    found: dict[bytes, ChainResult] = {}
    with ProcessPoolExecutor(processes, context, _start, (job, counters)) as pool:
        waiting: dict[Future[ChainResult], int] = {
            pool.submit(_work, place, chains[place]): place for place in order
        }
        while waiting:
            ready, _ = wait(waiting, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            progress.update(sum(counters))
            for future in ready:
                found[chains[waiting.pop(future)]] = future.result()
    return found


__all__ = ["CHUNK_BYTES", "SMALL_BYTES", "Job", "rebuilt", "replay_all"]
