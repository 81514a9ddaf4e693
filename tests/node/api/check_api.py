"""Question a running node's interface with what its own description allows and forbids.

Usage: check_api.py [--seed 7] [--examples 12] [--seconds 120] [-- more words for schemathesis]

It starts one node with a federation, a member of every role and an offer, asks over TCP with that
member's token, and ends with the status of schemathesis. The requests are the same for a seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from support.api import api_node

HERE = Path(__file__).parent
# They end what the questions are asked with, or an answer of theirs has no end.
LEFT_OUT = (
    "/v1/auth/logout",
    "/v1/auth/end",
    "/v1/tokens/{id}/revoke",
    "/v1/members/{person}/revoke",
    "/v1/events",
)
PHASES = "examples,coverage,fuzzing"


def main() -> int:
    """Run the check and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--examples", type=int, default=12, help="of each operation")
    parser.add_argument("--seconds", type=int, default=120, help="the most that all may take")
    parser.add_argument("more", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="m") as directory, api_node(Path(directory)) as node:
        token = node.token("read", "exchange", "pay", "publish", "desk", "admin")
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            "--config-file", str(HERE / "schemathesis.toml"),
            "run", f"{node.url}/v1/openapi.json",
            "--url", node.url,
            "--header", f"Authorization: Bearer {token}",
            "--checks", "all",
            "--phases", PHASES,
            "--max-examples", str(given.examples),
            "--max-time", str(given.seconds),
            "--seed", str(given.seed),
            "--generation-database", "none",
            "--no-color",
            *(word for path in LEFT_OUT for word in ("--exclude-path", path)),
            *given.more,
        ]  # fmt: skip
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
