"""What a letter costs, and how soon a step on one node is on the other.

A letter is to add at most one signature and one seal to a record. What is measured: sealing it, and
keeping it (two rows and its share of a commit), taking it in and opening it, against bare HPKE and
bare Ed25519 of the same run. Then two post offices in processes of their own, over libp2p on the
loopback interface, each with its disk in FULL synchronisation: from writing a letter on the one to
its content being read on the other, against round trips of an empty frame on the same connection.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from harness import Harness, Sample
from maillon.node.engine.post import PostOffice, Wish
from maillon.node.engine.post.bounds import Bounds
from maillon.node.store.lettersdisk import LettersDisk
from maillon.protocol.errors import CannotOpen
from maillon.protocol.keys import SealingKey, SigningKey
from maillon.protocol.letterframes import Put, decode_frame, encode_frame
from maillon.protocol.letters import ITEM_STEP, Item, decode_letter, open_letter, seal
from support.nethost import Child

NAME = "letters"
DESCRIPTION = "letters against bare seals and signatures, and from one node to the other"

AT = 1_800_000_000
FED, HERE, THERE = b"f" * 32, b"h" * 32, b"t" * 32
KEY = SealingKey.from_seed(b"k" * 32)
STEP = Random(1).randbytes(600)
"""A step of an exchange is about so long."""


class _Federation:
    def belongs(self, coop: bytes) -> bool:
        return True

    def addressee(self, key: bytes) -> bool:
        return True


def _office(h: Harness, name: str, coop: bytes) -> PostOffice:
    many = 10**9
    office = PostOffice(
        LettersDisk(h.tmp / f"{name}.db"), fed=FED, coop=coop, federation=_Federation(),
        random=h.rng.randbytes, rng=h.rng,
        bounds=Bounds(
            owner_letters_max=many, owner_bytes_max=many, out_letters_max=many, out_bytes_max=many,
            coop_letters_max=many, coop_bytes_max=many, addressee_letters_max=many,
            addressee_bytes_max=many, bytes_max=many, flight_letters_max=many,
        ),
    )  # fmt: skip
    office.start(AT)
    return office


def run(h: Harness) -> None:
    """Measure the cost of a letter, then its way."""
    _cost(h)
    _way(h)


def _cost(h: Harness) -> None:
    count = 64
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    public = X25519PublicKey.from_public_bytes(KEY.public)
    signing = SigningKey.from_seed(b"s" * 32)
    items = (Item(ITEM_STEP, STEP),)
    plain = bytes(1_024)
    info = bytes(200)
    here, there = _office(h, "here", HERE), _office(h, "there", THERE)
    here.connected(THERE, AT)
    wishes = [
        Wish(THERE, KEY.public, b"x" * 32, items, AT + 86_400, b"o" * 49) for _ in range(count)
    ]

    def repeat(work: Callable[[], object]) -> Callable[[], int]:
        def times() -> int:
            for _ in range(count):
                work()
            return count

        return times

    def sealed() -> object:
        return seal(
            fed=FED, from_coop=HERE, to_coop=THERE, to_key=KEY.public, thread=b"t" * 16, n=0,
            at=AT, until=AT + 60, items=items,
        )  # fmt: skip

    def write() -> int:
        here.write(wishes, AT)
        return count

    def bring() -> int:
        """Write, send, take in, acknowledge: all but the wire and the opening."""
        here.write(wishes, AT)
        done = 0
        while isinstance(put := here.parcel(THERE, AT), Put):
            frame = decode_frame(encode_frame(put))
            assert isinstance(frame, Put)
            ack, _ = there.received(HERE, frame, AT)
            here.acked(THERE, ack, AT)
            done += len(put.letters)
        return done

    one = decode_letter(seal(
        fed=FED, from_coop=HERE, to_coop=THERE, to_key=KEY.public, thread=b"t" * 16, n=0, at=AT,
        until=AT + 60, items=items,
    ).encode())  # fmt: skip
    bring()
    rounds = h.rounds(
        {
            "sign": repeat(lambda: signing.sign("record", STEP)),
            "hpke": repeat(lambda: suite.encrypt(plain, public, info)),
            "seal": repeat(sealed),
            "open": repeat(lambda: open_letter(one, KEY)),
            "write": write,
            "bring": bring,
        }
    )
    for name, label in (
        ("sign", "a bare signature"), ("hpke", "a bare seal (HPKE)"),
        ("seal", "a letter sealed"), ("open", "a letter opened"),
        ("write", "a letter written, 64 to a commit"),
        ("bring", "a letter written, sent, taken in, acknowledged"),
    ):  # fmt: skip
        h.row(label, 1e6 * rounds.median(name), "µs CPU")
    for name, label, most in (
        ("seal", "a letter sealed / (one seal + one signature), CPU", 1.0),
        ("write", "a letter sealed and kept / (one seal + one signature), CPU", None),
    ):
        bound = [
            (a.cpu / a.units) / (b.cpu / b.units + c.cpu / c.units)
            for a, b, c in zip(
                rounds.samples[name], rounds.samples["hpke"], rounds.samples["sign"], strict=True
            )
        ]
        h.ratio_row(label, (statistics.median(bound), min(bound), max(bound)), most=most)
    h.row("database of the receiver", there.figures(AT)["kept_bytes"] / 1e6, "MB")
    try:
        open_letter(one, SealingKey.from_seed(b"other" * 6 + b"xx"))
    except CannotOpen:
        h.control("a letter opened with another key", True)
    else:
        h.control("a letter opened with another key", False)


class _Post(Child):
    module = "support.postnode"


def _start(directory: Path, name: str) -> _Post:
    home = directory / name
    home.mkdir()
    seed = name.encode() * 32
    child = _Post(name, home=str(home), keys=[seed.hex()])
    if child.failed is not None:
        raise RuntimeError(str(child.failed))
    return child


def _way(h: Harness) -> None:
    count = 10 if h.quick else 40
    here, there = _start(h.tmp, "a"), _start(h.tmp, "b")
    try:
        here.ask("dial", peer=there.hex, addresses=there.addresses)
        here.ask("connected", peer=there.hex)
        there.ask("connected", peer=here.hex)
        key = SealingKey.from_seed(b"b" * 32).public.hex()

        def once(number: list[int]) -> float:
            number[0] += 1
            began = perf_counter()
            there.ask("read", count=0)
            asked = perf_counter() - began
            item = b"step %d" % number[0]
            began = perf_counter()
            here.ask("send", to=there.hex, key=key, items=[item.hex()])
            there.ask("read", count=number[0])
            return perf_counter() - began - 2 * asked

        number = [0]
        once(number)  # opens the stream

        def letter() -> Sample:
            taken = statistics.median(once(number) for _ in range(count))
            return Sample(taken * count, taken * count, count)

        def trips() -> Sample:
            done: dict[str, Any] = here.ask("trips", peer=there.hex, count=count)
            taken = statistics.median(done["seconds"])
            return Sample(taken * count, taken * count, count)

        rounds = h.rounds({"trip": trips, "letter": letter})
    finally:
        here.kill()
        there.kill()
    trip, letter_s = rounds.median("trip", "wall"), rounds.median("letter", "wall")
    h.row("a round trip of an empty frame, p50", 1e3 * trip, "ms")
    h.row("a step written on one node, read on the other, p50", 1e3 * letter_s, "ms")
    beyond = 1e3 * (letter_s - 2 * trip)
    h.row("beyond two round trips, p50", beyond, "ms", "≤ 50 ms", beyond <= 50)
