"""What an audit costs: a million transfers, each signed by a member; whole, and again after more.

The floor is the verification of as many signatures by libsodium on both cores (V₂). The peers are
accounting programs that add up the same postings without a signature: ledger, hledger, beancount.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from time import perf_counter

from harness import Harness, Sample
from jobs.verify import bare, items
from maillon.ledger.export.container import chain_path
from maillon.ledger.tool.files import ExportReader, ExportWriter
from maillon.protocol.founding import decode_founding_file
from support.ledger_corpus import Plan, make_corpus

NAME = "audit"
DESCRIPTION = "audit of a million member-signed transfers against V₂ and unsigned accounting"

TRANSFERS = 1_000_000
ROUND = 40_000
# What is new since the last audit: within the corpus's last round, so that nothing refers to it.
NEW = 100


def child(*command: str | Path) -> tuple[int, float, float]:
    """Run a program; return its exit status and its seconds of CPU and of wall clock."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = perf_counter()
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    wall = perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.returncode, cpu, wall


def audit(folder: Path, *more: str | Path) -> tuple[int, float, float]:
    """Audit an export as its user does."""
    return child(sys.executable, "-m", "maillon.ledger", "audit", folder, "--quiet", *more)


def shortened(source: Path, target: Path) -> None:
    """Copy an export without the last hundredth of each chain's blocks."""
    reader = ExportReader(source)
    founding = decode_founding_file(reader.founding()).founding
    writer = ExportWriter(target, reader.fed)
    writer.founding(reader.founding())
    for coop in (None, *(coop.id for coop in founding.coops)):
        path = "charter.blocks" if coop is None else chain_path(coop)
        if path in reader.manifest.files:
            count = reader.manifest.files[path].frames
            kept = count if coop is None else count - count // NEW
            blocks: Iterable[bytes] = (data for _, data in reader.frames(path))
            writer.append(coop, islice(blocks, kept))
    writer.commit(reader.manifest.at, reader.manifest.by)


def run(h: Harness) -> None:
    """Measure the whole audit, the next one, and what accounting programs take."""
    count = 4_000 if h.quick else TRANSFERS
    cores = len(os.sched_getaffinity(0))
    whole, less = h.tmp / "whole", h.tmp / "less"
    plan = Plan(count, 4, 500, seed=h.rng.randrange(1 << 16))
    make_corpus(whole, plan, processes=cores, rounds=max(4, count // ROUND))
    shortened(whole, less)
    _control(h, whole)
    messages = items(h, 20_000 if not h.quick else 500)
    known = h.tmp / "known"
    status, *_ = audit(less, "--cache", known)
    if status:
        raise AssertionError("the shortened export does not audit")

    def full() -> Sample:
        status, cpu, wall = audit(whole)
        if status:
            raise AssertionError("the export does not audit")
        return Sample(cpu, wall, count)

    def again() -> Sample:
        cache = h.tmp / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        shutil.copytree(known, cache)
        status, cpu, wall = audit(whole, "--cache", cache)
        if status:
            raise AssertionError("the export does not audit incrementally")
        return Sample(cpu, wall, count)

    with ThreadPoolExecutor(cores) as pool:

        def v2() -> int:
            half = len(messages) // cores
            parts = [messages[i * half : (i + 1) * half] for i in range(cores)]
            return sum(pool.map(bare, parts))

        variants: dict[str, Callable[[], object]] = {"V2": v2, "full": full, "again": again}
        variants |= _peers(h, whole, known, count)
        rounds = h.rounds(variants, rounds=3, warmup=False)
    h.row("whole audit", rounds.rate("full", "wall"), "transfers/s")
    h.ratio_row("whole audit / V₂ (wall clock)", rounds.ratio("full", "V2", "wall"), least=0.90)
    h.row("audit again, 1 % new", rounds.median("again", "wall") * count, "s")
    for name in ("ledger", "hledger", "beancount"):
        if name in variants:
            h.row(f"{name}: the same postings", rounds.rate(name), "transfers/CPU-s")
            h.ratio_row(
                f"audit again / {name} (CPU)",
                rounds.ratio("again", name),
                least=10.0 if name == "ledger" else None,
            )
            h.ratio_row(f"whole audit / {name} (CPU)", rounds.ratio("full", name))


def _peers(h: Harness, whole: Path, known: Path, count: int) -> dict[str, Callable[[], Sample]]:
    commands: dict[str, list[str]] = {
        "ledger": ["ledger", "balance", "-f"],
        "hledger": ["hledger", "balance", "-f"],
        "beancount": [str(Path(sys.executable).parent / "bean-check"), "--no-cache"],
    }
    found: dict[str, Callable[[], Sample]] = {}
    for name, words in commands.items():
        if shutil.which(words[0]) is None:
            h.skip(name, f"{words[0]} is not installed")
            continue
        journal = h.tmp / f"journal.{name}"
        cache = h.tmp / f"cache-{name}"
        shutil.copytree(known, cache)
        status, *_ = child(
            sys.executable, "-m", "maillon.ledger", "export", whole,
            "--quiet", "--cache", cache, "--format", name, "-o", journal,
        )  # fmt: skip
        if status:
            raise AssertionError(f"no journal for {name}")

        def peer(words: list[str] = words, journal: Path = journal) -> Sample:
            status, cpu, wall = child(*words, journal)
            if status:
                raise AssertionError(f"{words[0]} refuses the journal")
            return Sample(cpu, wall, count)

        found[name] = peer
    return found


def _control(h: Harness, whole: Path) -> None:
    """One flipped bit in the middle of a chain must be found."""
    broken = h.tmp / "broken"
    shutil.copytree(whole, broken)
    chain = max((broken / "chains").iterdir(), key=lambda path: path.stat().st_size)
    with chain.open("r+b") as file:
        middle = chain.stat().st_size // 2
        file.seek(middle)
        byte = file.read(1)
        file.seek(middle)
        file.write(bytes([byte[0] ^ 1]))
    status, *_ = audit(broken)
    h.control("a flipped bit in a chain", status == 1)
    shutil.rmtree(broken)
