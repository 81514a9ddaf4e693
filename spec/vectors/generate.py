"""Write the test vectors, or with --check say whether the files are what would be written.

Each gen_*.py beside this file has `vectors(rng) -> dict[file name, content]`; bytes in a content
become lower-case hexadecimal. Every generator gets its own random numbers, seeded with its name, so
that a change in one leaves the files of the others alone.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The edge cases of signatures are built with the tests' own arithmetic (support.ed25519_ref).
IMPORT_FROM = (HERE, HERE.parents[1] / "tests")


def _hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"a vector cannot hold a {type(value).__name__}")


def _rendered(content: object) -> str:
    # ASCII only: an editor that normalises text would change what these files are about.
    return json.dumps(content, indent=1, default=_hex) + "\n"


def generated(only: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield (file name, text) of every vector file, or of one generator's."""
    for folder in IMPORT_FROM:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    for path in sorted(HERE.glob("gen_*.py")):
        name = path.stem.removeprefix("gen_")
        if only in (None, name):
            module = importlib.import_module(path.stem)
            contents: dict[str, object] = module.vectors(random.Random(f"maillon/1/{name}"))
            for file, content in contents.items():
                yield file, _rendered(content)


def differences(only: str | None = None) -> list[str]:
    """Return one sentence for each file that is missing, differs, or that nothing generates."""
    found: list[str] = []
    names: set[str] = set()
    for file, text in generated(only):
        if file in names:
            found.append(f"{file} is made by two generators")
        names.add(file)
        path = HERE / file
        if not path.exists():
            found.append(f"{file} is missing")
        elif path.read_text("utf-8") != text:
            found.append(f"{file} differs from what the generator makes")
    if only is None:
        strays = sorted({path.name for path in HERE.glob("*.json")} - names)
        found += [f"{name} is made by no generator" for name in strays]
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--only", metavar="NAME", help="one generator, as `encoding`")
    options = parser.parse_args(arguments)
    if options.check:
        found = differences(options.only)
        print("\n".join(found) or "the vectors are what the generators make")
        return 1 if found else 0
    for file, text in generated(options.only):
        (HERE / file).write_text(text, "utf-8")
        print(f"{file}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
