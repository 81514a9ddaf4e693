"""Go's implementation of signed notes and hash trees accepts our checkpoints, and only ours."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from maillon.ledger.block import history_leaf
from maillon.ledger.checkpoint import (
    COSIGNATURE_TYPE,
    NOTE_TYPE,
    Checkpoint,
    cosign,
    origin,
    raw_signer,
    sign_checkpoint,
    verifier_key,
    witness_name,
)
from maillon.ledger.merkle import consistency_path, inclusion_path, root
from maillon.protocol.keys import SigningKey
from support.real_tools import real_tool

MODULES = Path("/usr/share/gocode")
FED, CHAIN = b"\xfe" * 32, b"\xc0" * 32
WRITER = SigningKey.from_seed(b"w" * 32)
WITNESSES = [SigningKey.from_seed(bytes([i]) * 32) for i in range(4)]
BLOCKS = [bytes([i]) * 32 for i in range(21)]
OLD, INDEX = 13, 6


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the Go program, once."""
    go = real_tool("go")
    if not (MODULES / "src/golang.org/x/mod/sumdb/note").is_dir():
        pytest.skip("golang.org/x/mod is not installed (tools/audit_tools installs it)")
    folder = tmp_path_factory.mktemp("go")
    source = Path(__file__).parent / "checkpoint_peer" / "main.go"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": str(MODULES),
        "GOCACHE": str(folder / "cache"),
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    built = folder / "peer"
    command = [go, "build", "-o", str(built), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    return built


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def question() -> dict[str, Any]:
    leaves = [history_leaf(block) for block in BLOCKS]
    checkpoint = Checkpoint.of(FED, CHAIN, len(leaves), root(leaves))
    note = sign_checkpoint(checkpoint, WRITER.public, raw_signer(WRITER))
    for number, key in enumerate(WITNESSES):
        note = cosign(note, key.public, raw_signer(key), 1_700_000_000 + number)
    return {
        "note": note.encode().decode(),
        "log": verifier_key(origin(FED, CHAIN), NOTE_TYPE, WRITER.public),
        "witnesses": [
            verifier_key(witness_name(key.public), COSIGNATURE_TYPE, key.public)
            for key in WITNESSES
        ],
        "leaf": text(leaves[INDEX]),
        "index": INDEX,
        "inclusion": [text(one) for one in inclusion_path(leaves, INDEX)],
        "old_size": OLD,
        "old_root": text(root(leaves[:OLD])),
        "consistency": [text(one) for one in consistency_path(leaves, OLD)],
    }


def ask(peer: Path, asked: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([peer], input=json.dumps(asked), capture_output=True, text=True)


def test_go_reads_our_checkpoint_its_cosignatures_and_both_proofs(peer: Path) -> None:
    ran = ask(peer, question())
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "origin": origin(FED, CHAIN),
        "size": len(BLOCKS),
        "signatures": 5,
        "unverified": 0,
        "times": [1_700_000_000, 1_700_000_001, 1_700_000_002, 1_700_000_003],
    }


@pytest.mark.parametrize("part", ["note", "leaf", "inclusion", "old_root", "consistency"])
def test_go_refuses_each_part_when_it_is_changed(peer: Path, part: str) -> None:
    asked = question()
    if part == "note":
        asked["note"] = asked["note"].replace("\n21\n", "\n22\n")
    elif part in ("inclusion", "consistency"):
        asked[part][0] = text(b"\x99" * 32)
    else:
        asked[part] = text(b"\x99" * 32)
    assert ask(peer, asked).returncode == 1
