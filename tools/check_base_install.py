"""Install the built wheel with its base dependencies alone, and use it.

What a client developer or an auditor installs must work without libp2p, trio or the web stack. The
check makes a new environment, installs ``requirements/base.txt`` by hash and the wheel without its
extra, imports every module of ``maillon.protocol`` and ``maillon.ledger`` there, proves that
nothing of the node's needs was there to be imported, and audits an export of the vectors.

Usage: ``python tools/check_base_install.py dist/maillon-*.whl`` (``make base-check``).
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# Runs inside the new environment, isolated from this tree (-I).
PROBE = """
import importlib, importlib.util, pkgutil, sys
absent = ["click", "httpx", "libp2p", "litestar", "msgspec", "nacl", "sqlite_utils", "trio"]
absent += ["pyarrow", "rich", "typst"]
found = [name for name in absent if importlib.util.find_spec(name)]
assert not found, f"the environment is not a base one: {found}"
count = 0
for root in ("maillon.protocol", "maillon.ledger"):
    package = importlib.import_module(root)
    count += 1
    for module in pkgutil.walk_packages(package.__path__, root + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            count += 1
from maillon.protocol import encoding
value = {"lang": "fr", "minutes": 90}
assert encoding.decode(encoding.encode(value), bytes_max=64) == value
print(f"{count} modules imported with cryptography and msgpack alone")
"""


def main(arguments: list[str]) -> int:
    """Run the check on the one wheel named in `arguments`; return an exit status."""
    if len(arguments) != 1:
        print("usage: check_base_install.py WHEEL", file=sys.stderr)
        return 2
    wheel = Path(arguments[0]).resolve(strict=True)
    with tempfile.TemporaryDirectory(prefix="maillon-base-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder, "bin", "python"))
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        install += ["--no-deps"]
        locked = ["--require-hashes", "--only-binary", ":all:", "-r"]
        subprocess.run([*install, *locked, str(TOP / "requirements" / "base.txt")], check=True)
        subprocess.run([*install, "--no-index", str(wheel)], check=True)
        isolated = [python, "-I", "-W", "error"]
        status = subprocess.run([*isolated, "-c", PROBE], cwd=folder).returncode
        return status or _audit(isolated, Path(folder))


def _audit(python: list[str], folder: Path) -> int:
    """Let the installed auditor judge an export that is right; return its exit status."""
    vectors = json.loads((TOP / "spec" / "vectors" / "audits.json").read_text())
    for name, data in vectors["exports"]["plain"].items():
        path = folder / "export" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes.fromhex(data))
    command = [*python, "-m", "maillon.ledger", "audit", str(folder / "export"), "--lang", "en"]
    return subprocess.run(command, cwd=folder).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
