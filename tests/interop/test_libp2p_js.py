"""Claims about js-libp2p: it and our driver gossip, speak frames, ping and identify, each way."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.net.identity import key_of, peer_id
from support.nethost import TOPIC, Child

TOP = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

for needed in ("libp2p", "@libp2p/gossipsub", "@chainsafe/libp2p-noise"):
    if not (HERE / "node_modules" / needed / "package.json").is_file():
        pytest.skip(
            f"{needed} is not installed in tests/interop: make tests/interop/node_modules",
            allow_module_level=True,
        )


class Js:
    """A js-libp2p node in another process."""

    def __init__(self, name: str) -> None:
        config = {"seed": name.encode().ljust(32, b"j")[:32].hex(), "topic": TOPIC}
        self.process = subprocess.Popen(
            [TOP / "tools/node", HERE / "libp2p_peer.mjs", json.dumps(config)],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._numbers = itertools.count(1)
        ready = self._line()
        self.addresses: list[str] = ready["ready"]
        self.peer: str = ready["peer"]

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the js-libp2p process has ended"
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, do: str, **arguments: Any) -> Any:
        """Have the node do something; its exceptions fail the test."""
        assert self.process.stdin is not None
        number = next(self._numbers)
        line = json.dumps({"id": number, "do": do, **arguments})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self._line()
        assert answer["id"] == number and "error" not in answer, answer
        return answer["ok"]

    def stop(self) -> None:
        """End the node."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module", params=["we dial", "it dials"])
def both(request: pytest.FixtureRequest) -> Iterator[tuple[Child, Js]]:
    """Return our driver and a js-libp2p node, connected by one or the other, meshed."""
    ours = Child(f"py {request.param}")
    theirs = Js(f"js {request.param}")
    try:
        if request.param == "we dial":
            ours.ask("dial", peer=key_of(theirs.peer).hex(), addresses=theirs.addresses)
        else:
            theirs.ask("dial", address=ours.addresses[0])
        assert ours.ask("mesh", peer=key_of(theirs.peer).hex())
        assert theirs.ask("mesh")
        yield ours, theirs
        assert ours.count("restarts") == 0
        assert ours.stop() == 0
    finally:
        theirs.stop()
        ours.kill()


def test_both_derive_the_same_peer_id_from_a_key(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    assert ours.addresses[0].endswith(f"/p2p/{peer_id(ours.key)}")
    assert peer_id(key_of(theirs.peer)) == theirs.peer


def test_messages_of_ours_reach_it_once_each(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    ours.ask("publish", data="from python", count=200, pad=200)
    data = [(f"from python:{n}:".encode() + bytes(200)).hex() for n in range(200)]
    assert theirs.ask("got", data=data) == [1] * 200


def test_messages_of_its_own_reach_us_once_each(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    data = [(f"from js:{n}:".encode() + bytes(200)).hex() for n in range(200)]
    theirs.ask("publish", data=data)
    assert ours.ask("got", data="from js", count=200, pad=200) == 200
    # What both publish is one message: it has one content.
    before = ours.count("gossip_received")
    ours.ask("publish", data="from both")
    theirs.ask("got", data=[b"from both:0:".hex()])
    assert ours.count("gossip_received") == before


def test_a_message_of_the_greatest_size_arrives_each_way(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    content = b"great:0:".ljust(65_536, b"\0")
    ours.ask("publish", data="great", pad=65_536 - 8)
    assert theirs.ask("got", data=[content.hex()]) == [1]
    theirs.ask("publish", data=[b"greet:0:".ljust(65_536, b"\0").hex()])
    assert ours.ask("got", data="greet", pad=65_536 - 8) == 1


def test_frames_go_each_way_over_streams_each_side_opens(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    sizes = [0, 1, 1_000, 65_536, 262_144]
    key = key_of(theirs.peer).hex()
    assert ours.ask("talk", peer=key, protocol="/test/echo", frames=sizes) == sizes
    assert theirs.ask("talk", address=ours.addresses[0], sizes=sizes) == sizes


def test_it_can_ping_and_identify_us(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    assert theirs.ask("ping", address=ours.addresses[0]) >= 0
    protocols = theirs.ask("protocols", peer=peer_id(ours.key))
    assert {"/meshsub/1.1.0", "/ipfs/ping/1.0.0", "/test/echo"} <= set(protocols)


def test_garbage_it_sends_costs_it_points_and_nothing_else(both: tuple[Child, Js]) -> None:
    ours, theirs = both
    before = ours.count("penalty_rpc_unreadable")
    theirs.ask("raw", address=ours.addresses[0], bytes="0affffffffffffffffffff")
    assert ours.ask("wait", metric="penalty_rpc_unreadable", least=before + 1) == before + 1
    assert ours.ask("metrics")["running"] == 1
