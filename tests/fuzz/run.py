"""Throw mutated bytes at every target of fuzz_*.py and keep the input that breaks one.

    python tests/fuzz/run.py --seconds 30               every target for 30 seconds
    python tests/fuzz/run.py --only encoding            the targets of fuzz_encoding.py
    python tests/fuzz/run.py --replay encoding.decode 81a161c0

A fuzz_*.py has `TARGETS: dict[name, function of bytes]` and `SEEDS: list[bytes]` (or a dict from
target to list). A target returns for any bytes; whatever it raises is a finding. Each runs in a
process of its own, guided by coverage where atheris can be imported and by plain mutation where it
cannot. The exit status is 1 when there was a finding, and the input is printed in hexadecimal.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, cast

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
Target = Callable[[bytes], None]

SEED_DEFAULT = 1
INPUT_BYTES_MAX = 65_536
# A target that hangs is a finding too: this much longer than it was given, then it is ended.
GRACE_S = 60.0
# What a child says around each target.
BEGIN = "==== target "
END = "==== status "
TARGETS_MAX = 6
"""Of one child: a long module is shared between the cores."""


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def modules(folder: Path, only: str | None = None) -> dict[str, Path]:
    """Return the fuzz modules of a folder by their short names."""
    found = {path.stem.removeprefix("fuzz_"): path for path in sorted(folder.glob("fuzz_*.py"))}
    return {name: path for name, path in found.items() if only in (None, name)}


def seeds_of(module: ModuleType, target: str) -> list[bytes]:
    """Return the examples that a module gives for one of its targets."""
    seeds: object = getattr(module, "SEEDS", [])
    if isinstance(seeds, dict):
        return list(cast("dict[str, list[bytes]]", seeds).get(target, []))
    return list(cast("list[bytes]", seeds))


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return one of the seeds with a few bytes changed, cut, repeated or joined with another's."""
    data = bytearray(rng.choice(seeds)) if seeds else bytearray(rng.randbytes(rng.randrange(64)))
    for _ in range(1 << rng.randrange(4)):
        place = rng.randrange(len(data) + 1)
        action = rng.randrange(7)
        if action == 0:
            data.insert(place, rng.randrange(256))
        elif action == 1 and data:
            del data[place : place + 1 + rng.randrange(4)]
        elif action == 2 and data:
            data[place - 1] ^= 1 << rng.randrange(8)
        elif action == 3 and data:
            data[place - 1] = rng.choice((0, 1, 0x7F, 0x80, 0xC0, 0xC1, 0xD9, 0xFF))
        elif action == 4:
            end = place + rng.randrange(32)
            data[place:place] = data[place:end]
        elif action == 5 and seeds:
            other = rng.choice(seeds)
            start = rng.randrange(len(other) + 1)
            data[place:] = other[start : start + rng.randrange(len(other) + 1)]
        elif action == 6:
            del data[place:]
    return bytes(data[:INPUT_BYTES_MAX])


def _finding(target: Target, data: bytes) -> str | None:
    try:
        target(data)
    except Exception:
        return traceback.format_exc()
    return None


def _report(name: str, data: bytes, trace: str) -> None:
    print(trace, end="", flush=True)
    print(f"FINDING {name} {data.hex()}", flush=True)


def _run_plain(name: str, target: Target, seeds: list[bytes], seconds: float, seed: int) -> int:
    rng = random.Random(f"{seed} {name}")
    executions = 0
    end = time.monotonic() + seconds
    pending = list(seeds)
    while time.monotonic() < end:
        data = pending.pop() if pending else mutated(rng, seeds)
        executions += 1
        trace = _finding(target, data)
        if trace:
            _report(name, data, trace)
            print(f"EXECUTIONS {executions}", flush=True)
            return 1
    print(f"EXECUTIONS {executions}", flush=True)
    return 0


def _run_atheris(
    atheris: Any, name: str, target: Target, seeds: list[bytes], seconds: float, seed: int
) -> int:
    corpus = Path(tempfile.mkdtemp(prefix="maillon-fuzz-"))
    for number, example in enumerate(seeds):
        (corpus / f"seed-{number:04}").write_bytes(example)

    def one(data: bytes) -> None:
        trace = _finding(target, data)
        if trace:
            _report(name, data, trace)
            sys.stdout.flush()
            # libFuzzer would go on to write files and a report of its own.
            os._exit(1)

    atheris.Setup(
        [
            sys.argv[0],
            str(corpus),
            f"-seed={seed}",
            f"-max_total_time={max(1, int(seconds))}",
            f"-max_len={INPUT_BYTES_MAX}",
            "-timeout=25",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            f"-artifact_prefix={corpus}/",
        ],
        one,
    )
    atheris.Fuzz()
    return 0


def child(names: list[str], path: Path, seconds: float, seed: int, plain: bool) -> int:
    """Fuzz targets of one module, each in a process that begins where this one has got to.

    Importing the packages and instrumenting them takes longer than a short run: once for all.
    """
    atheris: Any = None
    if not plain:
        try:
            atheris = importlib.import_module("atheris")
        except ImportError:
            print("NOTE atheris cannot be imported: plain mutation, not guided by coverage")
    module = _load(path)
    seeds = {name: seeds_of(module, name.partition(".")[2]) for name in names}
    if atheris is not None:
        # That first time loaded the packages uninstrumented: they are dropped, and imported again
        # under instrumentation.
        for loaded in [k for k in sys.modules if k == "maillon" or k.startswith("maillon.")]:
            del sys.modules[loaded]
        with atheris.instrument_imports(include=["maillon"]):
            module = _load(path)
    for name in names:
        print(f"{BEGIN}{name}", flush=True)
        target: Target = module.TARGETS[name.partition(".")[2]]
        forked = os.fork()
        if not forked:
            status = 1
            try:
                if atheris is None:
                    status = _run_plain(name, target, seeds[name], seconds, seed)
                else:
                    status = _run_atheris(atheris, name, target, seeds[name], seconds, seed)
            except Exception:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
        print(f"{END}{status}", flush=True)
    return 0


def fuzz(
    names: list[str], path: Path, seconds: float, seed: int, plain: bool
) -> dict[str, tuple[int, bool]]:
    """Fuzz targets of one module; return the executions of each and whether it held."""
    command = [sys.executable, str(HERE / "run.py"), "--child", *names, "--file", str(path)]
    command += ["--seconds", str(seconds), "--seed", str(seed), *(["--plain"] if plain else [])]
    try:
        ended = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds * len(names) + GRACE_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            check=False,
        )
        output = ended.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode(errors="replace")
    before, *parts = re.split(f"^{BEGIN}", output, flags=re.MULTILINE)
    for line in before.splitlines():
        if line.startswith("NOTE"):
            print(f"{path.stem.removeprefix('fuzz_')}: {line.removeprefix('NOTE ')}")
    told = {part.partition("\n")[0]: part for part in parts}
    results: dict[str, tuple[int, bool]] = {}
    for name in names:
        # Without an end it was ended, and without a beginning the one before it was.
        part = told.get(name, before)
        status = re.findall(f"^{END}(-?[0-9]+)$", part, re.MULTILINE)
        held = status == ["0"]
        counts = re.findall(r"(?:EXECUTIONS |stat::number_of_executed_units: )(\d+)", part)
        results[name] = (int(counts[-1]) if counts else 0, held)
        if held:
            continue
        print(part[-6_000:], end="")
        if not status:
            print(f"{name}: did not come to an end")
        for found in re.findall(r"^FINDING (\S+) ([0-9a-f]*)$", part, re.MULTILINE):
            print(f"replay with: python tests/fuzz/run.py --replay {found[0]} {found[1] or '-'}")
    return results


def _import_path() -> list[str]:
    roots = [TOP / "protocol", TOP / "ledger", TOP / "node", TOP / "tests"]
    inherited = os.environ.get("PYTHONPATH")
    return [*map(str, roots), *([inherited] if inherited else [])]


def replay(folder: Path, name: str, hexadecimal: str) -> int:
    """Run one input through one target; the finding shows as its traceback."""
    short, _, target = name.partition(".")
    path = modules(folder).get(short)
    functions: dict[str, Target] = _load(path).TARGETS if path else {}
    if target not in functions:
        print(f"there is no target {name}")
        return 2
    data = b"" if hexadecimal == "-" else bytes.fromhex(hexadecimal)
    trace = _finding(functions[target], data)
    print(trace or f"{name}: holds for these {len(data)} bytes")
    return 1 if trace else 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target")
    parser.add_argument("--seed", type=int, default=SEED_DEFAULT)
    parser.add_argument("--jobs", type=int, default=0, help="at the same time (0: every core)")
    parser.add_argument("--only", metavar="MODULE", help="one module, as `encoding`")
    parser.add_argument("--plain", action="store_true", help="plain mutation, without atheris")
    parser.add_argument("--folder", type=Path, default=HERE, help=argparse.SUPPRESS)
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "HEX"))
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    sys.path[:0] = [root for root in _import_path() if root not in sys.path]
    if options.child:
        return child(options.child, options.file, options.seconds, options.seed, options.plain)
    if options.replay:
        return replay(options.folder, *options.replay)
    print(f"seed {options.seed}, {options.seconds:g} s a target")
    results: dict[str, tuple[int, bool]] = {}
    wanted: list[tuple[list[str], Path]] = []
    for short, path in modules(options.folder, options.only).items():
        names = [f"{short}.{target}" for target in cast("dict[str, Target]", _load(path).TARGETS)]
        wanted += [(names[i : i + TARGETS_MAX], path) for i in range(0, len(names), TARGETS_MAX)]

    def some(job: tuple[list[str], Path]) -> None:
        found = fuzz(*job, options.seconds, options.seed, options.plain)
        results.update(found)
        for name, (executions, held) in found.items():
            print(f"{name}: {executions} executions, {'held' if held else 'FINDING'}", flush=True)

    # A thread only waits for its process.
    with ThreadPoolExecutor(options.jobs or os.cpu_count() or 1) as pool:
        for _ in pool.map(some, wanted):
            pass
    findings = [name for name, (_, held) in results.items() if not held]
    total = sum(executions for executions, _ in results.values())
    print(
        f"{len(results)} targets, {total} executions, {len(findings)} findings"
        + (f": {', '.join(findings)}" if findings else "")
    )
    return 1 if findings or not results else 0


if __name__ == "__main__":
    sys.exit(main())
