"""Fuzz what reads letters, frames and what is sealed in a letter (spec/08-letters)."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from maillon.node.engine.post import PostOffice
from maillon.node.engine.post.memory import MemoryLetters
from maillon.protocol.errors import RemoteError
from maillon.protocol.keys import SealingKey
from maillon.protocol.letterframes import Ack, Again, Ask, Put, decode_frame, encode_frame
from maillon.protocol.letters import Item, decode_letter, open_letter, seal
from support import hpke_reference
from support.vectors import load

VECTORS = load("letters.json")
KEY = SealingKey.from_seed(bytes.fromhex(VECTORS["letters"][0]["key"]))
FED, TO = (bytes.fromhex(VECTORS["receiver"][part]) for part in ("fed", "to_coop"))
FROM = bytes.fromhex(VECTORS["receiver"]["coops"][0])
AT = 1_800_000_000


def letter(data: bytes) -> None:
    """Bytes are refused, or are the one encoding of a letter; opening it ends in words."""
    try:
        read = decode_letter(data)
    except RemoteError:
        return
    assert read.encode() == data
    try:
        open_letter(read, KEY)
    except RemoteError:
        return


def inside(data: bytes) -> None:
    """Whatever somebody seals is refused, or gives items."""

    def sealer(public: bytes, info: bytes, _plain: bytes) -> bytes:
        return hpke_reference.seal(public, info, data, ephemeral=b"e" * 32)

    made = seal(
        fed=FED, from_coop=FROM, to_coop=TO, to_key=KEY.public, thread=b"t" * 16, n=0, at=AT,
        until=AT + 60, items=(Item(1, b"x"),), sealer=sealer,
    )  # fmt: skip
    try:
        items = open_letter(made, KEY)
    except RemoteError:
        return
    assert all(item.data for item in items)


def frame(data: bytes) -> None:
    """A frame is refused, or is the one encoding of what was read."""
    try:
        read = decode_frame(data)
    except RemoteError:
        return
    assert encode_frame(read) == data


class _Federation:
    def belongs(self, coop: bytes) -> bool:
        return coop in (FROM, TO)

    def addressee(self, key: bytes) -> bool:
        return key == KEY.public


def office(data: bytes) -> None:
    """Two frames in a row are answered, within bounds, whatever is in them."""
    rng = Random(1)
    store = MemoryLetters()
    made = PostOffice(
        store, fed=FED, coop=TO, federation=_Federation(), random=rng.randbytes, rng=rng
    )
    made.start(AT)
    for part in (data, data[1:]):
        try:
            read = decode_frame(part)
            match read:
                case Put():
                    answer, _ = made.received(FROM, read, AT)
                    assert len(answer.outcomes) == len(read.letters)
                    encode_frame(answer)
                case Ask():
                    encode_frame(made.asked(FROM, read, AT)[0])
                case Ack() | Again():
                    made.acked(FROM, read, AT)
        except RemoteError:
            continue
        made.tick(AT)
        assert len(store.rows.inside) < 20_000


TARGETS: dict[str, Callable[[bytes], None]] = {
    "letter": letter,
    "letter_inside": inside,
    "letter_frame": frame,
    "letter_office": office,
}
_FRAMES = [bytes.fromhex(vector["bytes"]) for vector in VECTORS["frames"]]
SEEDS: dict[str, list[bytes]] = {
    "letter": [
        bytes.fromhex(vector["bytes"])
        for vector in VECTORS["letters"]
        if len(vector["bytes"]) < 8_000
    ],
    "letter_inside": [b"\x93\x01\x91\x92\x01\xc4\x01s\xc4\x00"],
    "letter_frame": _FRAMES,
    "letter_office": _FRAMES
    + [bytes.fromhex(step["put"]) for case in VECTORS["office"] for step in case["steps"]],
}
