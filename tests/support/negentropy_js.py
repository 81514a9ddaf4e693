"""Talk to the Negentropy implementations in JavaScript, which run in a process of their own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from support.reconciling import Item

TOP = Path(__file__).resolve().parents[2]
HERE = TOP / "tests/interop"


def missing() -> str | None:
    """Return why the peers cannot be run here, or None when they can."""
    for needed in ("@welshman/net", "nostr-tools"):
        if not (HERE / "node_modules" / needed / "package.json").is_file():
            return f"{needed} is not installed in tests/interop: make tests/interop/node_modules"
    return None


class Peer:
    """Talk to the other process, a question and an answer at a time."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [TOP / "tools/node", HERE / "negentropy_peer.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the answer; the peer's exceptions fail the test."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the peer process has ended"
        answer: dict[str, Any] = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer

    def new(self, implementation: str, items: list[Item], frame: int) -> None:
        """Have the peer hold these items."""
        listed = [[at, id_.hex()] for at, id_ in items]
        self.ask(op="new", implementation=implementation, items=listed, frame=frame)

    def reconcile(self, message: bytes) -> tuple[bytes | None, set[bytes], set[bytes]]:
        """Hand the peer a message; return its own, and the ids it says it has and needs."""
        answer = self.ask(op="reconcile", message=message.hex())
        reply = answer["message"]
        return (
            None if reply is None else bytes.fromhex(reply),
            {bytes.fromhex(id_) for id_ in answer["have"]},
            {bytes.fromhex(id_) for id_ in answer["need"]},
        )

    def close(self) -> int:
        """End the peer and return its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        try:
            return self.process.wait(timeout=20)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
