"""Machines broken on purpose, one rule at a time, and what notices.

A mutant is the real source of one function with one piece of text replaced: it is compiled anew and
put wherever the old function was known. A piece that is not there any more is an error, so that a
mutant never comes to test nothing. What notices is a run of random schedules, a script, or the
exploration of one height; the table says which, and where to begin.

    make mutants                                    # all of them, a line each
    PYTHONPATH=tests python -m simulation.ledger.mutants --only lease
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import textwrap
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from simulation.ledger import scripts
from simulation.ledger.charter_model import CharterBroken
from simulation.ledger.explorer import Explorer, Violation
from simulation.ledger.model import Broken
from simulation.ledger.mutant import EXPLORER, SEEDS_BY, Mutant
from simulation.ledger.mutant_table import MUTANTS
from simulation.ledger.run import simulate

SEEDS = 600



def _source(where: str) -> tuple[Any, Any, str, str]:
    module_name, _, path = where.partition(":")
    module: Any = importlib.import_module(module_name)
    owner: Any = module
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    return module, owner, name, textwrap.dedent(inspect.getsource(getattr(owner, name)))


@contextmanager
def broken(mutant: Mutant) -> Generator[None]:
    """Break a rule, and mend it again."""
    undo: list[Callable[[], None]] = []
    edited: dict[str, str] = {}
    for where, old, new in mutant.edits:
        text = edited.get(where) or _source(where)[3]
        if old not in text:
            raise LookupError(f"{mutant.name}: {where} has no {old!r} any more")
        edited[where] = text.replace(old, new, 1)
    try:
        for where, text in edited.items():
            _replace(where, text, undo)
        yield
    finally:
        for mend in reversed(undo):
            mend()


def _replace(where: str, text: str, undo: list[Callable[[], None]]) -> None:
    module, owner, name, _ = _source(where)
    true = inspect.getattr_static(owner, name)
    space: dict[str, Any] = {}
    # A method may be inherited: its names are those of the module it was written in.
    names = vars(sys.modules[true.__module__])
    exec(compile(text, where, "exec"), names, space)
    made = space[name]
    if owner is not module:
        own = name in vars(owner)
        undo.append(lambda: setattr(owner, name, true) if own else delattr(owner, name))
        setattr(owner, name, made)
        return
    # A function is known under its name wherever it was imported, and in tables.
    for known in list(sys.modules.values()):
        if not getattr(known, "__name__", "").startswith("maillon.ledger"):
            continue
        space_of: dict[str, Any] = vars(known)
        for key, value in list(space_of.items()):
            if value is true:
                undo.append(_setter(space_of, key, true))
                space_of[key] = made
            elif isinstance(value, dict):
                for entry, inside in list(value.items()):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
                    if inside is true:
                        undo.append(_setter(value, entry, true))  # pyright: ignore[reportUnknownArgumentType]
                        value[entry] = made


def _setter(space: dict[Any, Any], key: Any, value: Any) -> Callable[[], None]:
    def put() -> None:
        space[key] = value

    return put


@dataclass(frozen=True)
class Verdict:
    """What noticed a mutant, and after how much."""

    name: str
    killed: bool
    told: str
    seconds: float


CAUGHT = ("Broken", "CharterBroken")


def judge(mutant: Mutant, seeds: int = SEEDS) -> Verdict:
    """Run what is to notice a mutant until it does, or to its end."""
    began = time.monotonic()
    with broken(mutant):
        killed, told = _judge(mutant, seeds)
    return Verdict(mutant.name, killed, told, time.monotonic() - began)


def _judge(mutant: Mutant, seeds: int) -> tuple[bool, str]:
    if mutant.by == EXPLORER:
        try:
            states = Explorer(2).explore()
        except Violation as found:
            return True, f"exploring one height: {str(found).splitlines()[0]}"
        return False, f"{states} states explored"
    if mutant.by != SEEDS_BY:
        try:
            getattr(scripts, mutant.by)()
        except (Broken, CharterBroken) as found:
            return True, f"script {mutant.by}: {found}"
        return False, f"script {mutant.by}"
    for count, seed in enumerate(range(mutant.first, mutant.first + seeds), 1):
        result = simulate(seed, tune=mutant.tune)
        if result.broken.startswith(CAUGHT):
            line = result.broken.splitlines()[0]
            return True, f"{count} seeds from {mutant.first}: {line}"
        if result.broken:
            # An accident of the mutant is not a promise that does not hold.
            return False, f"seed {seed} breaks otherwise: {result.broken.splitlines()[0]}"
    return False, f"not in {seeds} seeds from {mutant.first}"


def _by_name(name: str) -> Verdict:
    return judge(next(mutant for mutant in MUTANTS if mutant.name == name))


def main(arguments: list[str] | None = None) -> int:
    """Judge all mutants and print a line each."""
    parser = argparse.ArgumentParser(prog="simulation.ledger.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name holds this")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    names = [mutant.name for mutant in MUTANTS if options.only in mutant.name]
    alive: list[str] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(_by_name, names):
            word = "killed" if verdict.killed else "ALIVE "
            print(f"{word} {verdict.name:52} {verdict.told} ({verdict.seconds:.1f} s)", flush=True)
            if not verdict.killed:
                alive.append(verdict.name)
    print(f"{len(names)} mutants, {len(names) - len(alive)} killed")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
