"""How long a person waits: the help text, and a node until it serves reads and until its network
listens.

CPU seconds, because a shared machine stretches the wall clock: the bare imports are what any
program with these libraries pays.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable

from harness import Harness, Sample
from homes import Running, command, make_home

NAME = "cold-start"
DESCRIPTION = "process start to help text, to reads served and to a listening host, against imports"

READS = "import trio, msgspec, nacl.bindings, cryptography.hazmat.primitives.asymmetric.ed25519"
ALL = "import libp2p"


def child(*words: str) -> Callable[[], Sample]:
    """Return a variant that runs a process to its end and reports its own CPU and wall time."""

    def variant() -> Sample:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(cpu, wall)

    return variant


def run(h: Harness) -> None:
    """Start processes over and over."""
    home = make_home(h.tmp / "home")
    later: list[Sample] = []

    def reads() -> Sample:
        with Running(home) as node:
            sample = Sample(*node.wait_for_reads())
            later.append(Sample(*node.wait_for_network()))
        return sample

    # The first run writes bytecode and the node's profile.
    reads()
    rounds = h.rounds(
        {
            "import reads": child(sys.executable, "-c", READS),
            "import all": child(sys.executable, "-c", ALL),
            "bare": child(sys.executable, "-c", "pass"),
            "help": child(*command(home, "--help")),
            "reads": reads,
        },
        rounds=1 if h.quick else 7,
        warmup=not h.quick,
    )
    # The same starts, looked at a second time.
    rounds.samples["all"] = later[-len(rounds.samples["reads"]) :]
    h.row("Python that does nothing", rounds.median("bare"), "s CPU")
    h.row("import trio, msgspec and cryptography", rounds.median("import reads"), "s CPU")
    h.row("import libp2p", rounds.median("import all"), "s CPU")
    h.row("help text", rounds.median("help"), "s CPU")
    h.row("help text", rounds.median("help", "wall"), "s")
    h.row("reads served", rounds.median("reads"), "s CPU")
    h.row("reads served", rounds.median("reads", "wall"), "s")
    h.row("network listens", rounds.median("all"), "s CPU")
    h.row("network listens", rounds.median("all", "wall"), "s")
    # `ratio` is one of rates: how often the import fits into the start.
    h.ratio_row("reads served / its imports", rounds.ratio("import reads", "reads"), most=1.6)
    h.ratio_row("network listens / import libp2p", rounds.ratio("import all", "all"), most=1.15)
    try:
        child(sys.executable, "-c", "import maillon.no_such_part")()
        caught = False
    except subprocess.CalledProcessError:
        caught = True
    h.control("a process that fails to import", caught)
