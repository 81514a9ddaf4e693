"""Ask a connected node where other federation nodes can be found now (spec/04, "Finding peers").

One stream of PROTOCOL: the asker sends nothing and reads one frame, [1, [[key, [address…]]…]]. Only
keys the asker already keeps are used, so the answer can cost it some useless dials and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from maillon.node import bounds
from maillon.protocol import encoding
from maillon.protocol.limits import FRAME_BYTES_MAX

if TYPE_CHECKING:
    from maillon.node.net.driver import Libp2pNetwork
    from maillon.node.ports import FrameStream

PROTOCOL: Final = "/maillon/1/peers"


async def answer(net: Libp2pNetwork, stream: FrameStream) -> None:
    """Tell an asker which peers are connected here and where."""
    entries: list[encoding.Value] = [
        [key, list[encoding.Value](addresses)] for key, addresses in net.known_addresses()
    ]
    await stream.send(encoding.encode([1, entries]))


async def ask_for_peers(net: Libp2pNetwork, peer: bytes) -> int:
    """Ask one peer and pass on what is usable as hints; return how many entries were.

    Raises: RemoteError when the answer is not one, LocalError when the peer is not connected.
    """
    with trio.fail_after(bounds.PEERS_ASKED_S):
        stream = await net.open_stream(peer, PROTOCOL)
        frame = await stream.receive()
        await stream.close()
    if frame is None:
        return 0
    used = 0
    for key, addresses in read_answer(frame):
        if net.ward.admitted(key):
            net.hint(key, addresses)
            used += 1
    return used


def read_answer(frame: bytes) -> list[tuple[bytes, list[str]]]:
    """Read an answer; entries of an unexpected form are skipped: later versions may add some.

    Raises: Malformed when it is not a canonical encoding.
    """
    value = encoding.decode(frame, bytes_max=FRAME_BYTES_MAX)
    if not isinstance(value, list) or len(value) < 2 or not isinstance(value[1], list):
        return []
    found: list[tuple[bytes, list[str]]] = []
    for entry in value[1][: bounds.PEERS_ANSWER_MAX]:
        if not isinstance(entry, list) or len(entry) < 2:
            continue
        key, addresses = entry[0], entry[1]
        if isinstance(key, bytes) and len(key) == 32 and isinstance(addresses, list):
            texts = [text for text in addresses if isinstance(text, str)]
            found.append((key, texts[: bounds.ADDRESSES_PER_PEER_MAX]))
    return found
