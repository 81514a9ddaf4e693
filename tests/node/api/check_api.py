"""Question a running node's interface with what its own description allows and forbids.

Usage: check_api.py [--seed 7 | --seed 0] [--examples 12] [--seconds 120] [-- more words]

It starts one node with a federation, a member of every role and an offer, asks over TCP with that
member's token, and ends with the status of schemathesis, which gets the other words. The requests
are the same for a seed; seed 0 draws one, and prints it.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from support.api import ApiNode, api_node, bearer

HERE = Path(__file__).parent
# What has no end to its answer.
ENDLESS = ("/v1/events",)
# What may end the person who asks, or their token: asked last, as somebody else.
ENDING = (
    "/v1/members/{person}/revoke",
    "/v1/persons/{person}/moves/cancel",
    "/v1/persons/{person}/devices/{key}/remove",
    "/v1/persons/{person}/erase",
    "/v1/persons/{person}/moves",
    "/v1/persons/{person}/recoveries",
    "/v1/tokens/{id}/revoke",
)
# What surely ends the token: asked at the very end. All is 401 then, where 405 was due too.
LAST = ("/v1/auth/end", "/v1/auth/logout")
PHASES = "examples,coverage,fuzzing"
SCOPES = ("read", "exchange", "pay", "publish", "desk", "admin")
ENDING_S = 20


def main() -> int:
    """Run the check and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--examples", type=int, default=12, help="of each operation")
    parser.add_argument("--seconds", type=int, default=120, help="the most that all may take")
    parser.add_argument("more", nargs="*")
    given = parser.parse_args()
    given.seed = given.seed or random.SystemRandom().randrange(1, 1 << 32)
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="m") as directory, api_node(Path(directory)) as node:
        asker = node.token(*SCOPES)
        left_out = [
            word for path in (*ENDLESS, *ENDING, *LAST) for word in ("--exclude-path", path)
        ]
        status = ask(node, asker, given.seconds, left_out, given)
        me = node.http.get("/v1/auth/me", headers=bearer(asker)).json()
        if me.get("kind") != "member":
            print(f"The token ended on the way; the rest says nothing: {me}", file=sys.stderr)
            return 1
        for paths, more in ((ENDING, ()), (LAST, ("--exclude-checks", "unsupported_method"))):
            words = [word for path in paths for word in ("--include-path", path)]
            status = ask(node, node.token(*SCOPES), ENDING_S, [*words, *more], given) or status
        return status


def ask(
    node: ApiNode, token: str, seconds: int, paths: Sequence[str], given: argparse.Namespace
) -> int:
    """Ask what the paths allow, for so long at most; return the exit status."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file", str(HERE / "schemathesis.toml"),
        "run", f"{node.url}/v1/openapi.json",
        "--url", node.url,
        "--header", f"Authorization: Bearer {token}",
        "--phases", PHASES,
        "--max-examples", str(given.examples),
        "--max-time", str(seconds),
        "--seed", str(given.seed),
        "--generation-database", "none",
        "--no-color",
        *paths,
        *given.more,
    ]  # fmt: skip
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
