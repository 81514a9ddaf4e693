"""Whatever a stranger sends to the join protocol, the worst that happens is a refusal."""

from __future__ import annotations

import math
import random

import pytest
import trio

from maillon.node import bounds
from maillon.node.run import join
from maillon.protocol import encoding
from maillon.protocol.cards import CoopCard, make_card
from maillon.protocol.keys import SigningKey

TOKEN = b"right token 16 b"
SEED = 20260301


class Pipe:
    """One end of a stream of frames held in memory."""

    def __init__(
        self,
        peer: bytes,
        out: trio.MemorySendChannel[bytes],
        into: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self._peer = peer
        self._out = out
        self._in = into

    @property
    def peer(self) -> bytes:
        return self._peer

    async def send(self, frame: bytes) -> None:
        await self._out.send(frame)

    async def receive(self) -> bytes | None:
        try:
            return await self._in.receive()
        except trio.EndOfChannel:
            return None

    async def close(self) -> None:
        await self._out.aclose()

    async def reset(self) -> None:
        await self._out.aclose()
        await self._in.aclose()


def pipes(peer: bytes) -> tuple[Pipe, Pipe]:
    a_out, b_in = trio.open_memory_channel[bytes](math.inf)
    b_out, a_in = trio.open_memory_channel[bytes](math.inf)
    return Pipe(b"inviter" + bytes(25), a_out, a_in), Pipe(peer, b_out, b_in)


class House(join.Door):
    """A door that notes who came through."""

    def __init__(self) -> None:
        self.admitted: list[bytes] = []
        self.profiles: list[bytes] = []

    def now(self) -> float:
        return 1_000_000.0

    def check_token(self, token: bytes, root: bytes) -> bool:
        return token == TOKEN

    def founding_file(self) -> bytes:
        return b"file"

    def admit_card(self, card: CoopCard, token: bytes) -> tuple[int, list[str]]:
        self.admitted.append(card.id)
        return 0, []

    def identity_records(self) -> list[bytes]:
        return [b"r" * 1000] * 200

    async def take_profile(self, record: bytes, peer: bytes) -> int:
        self.profiles.append(record)
        return 0


ROOT, NODE = SigningKey.from_seed(b"r" * 32), SigningKey.from_seed(b"n" * 32)
CARD = make_card(ROOT, NODE.public, "Coop", ())


def ask(**changes: object) -> bytes:
    parts: dict[str, object] = {
        "kind": join.ASK,
        "version": 1,
        "token": TOKEN,
        "card": CARD.encode(),
    }
    parts |= changes
    return encoding.encode(list(parts.values()))  # type: ignore[arg-type]  # hostile on purpose


async def answered(
    house: House, *frames: bytes, peer: bytes = NODE.public, attempts: join.Attempts | None = None
) -> list[bytes]:
    """Send frames to the inviter's side, hang up, and return all it said."""
    ours, theirs = pipes(peer)
    for frame in frames:
        await ours.send(frame)
    await ours.close()
    await join.answer_join(theirs, house, attempts or join.Attempts())
    await theirs.close()
    said: list[bytes] = []
    while (answer := await ours.receive()) is not None:
        said.append(answer)
    return said


def refusal(said: list[bytes]) -> object:
    last = encoding.decode(said[-1], bytes_max=1_000)
    assert isinstance(last, list) and last[0] == join.REFUSAL
    return last[1]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (ask(token=b"wrong token 16 b"), "token"),
        (ask(version=2), "version_unsupported"),
        (ask(card=b"no card"), "card"),
        (ask(card=CARD.encode()[:-1]), "card"),
        (ask(token=b"short"), "malformed"),
        (ask(token="sixteen letters!"), "malformed"),
        (ask(kind=7), "malformed"),
        (ask(kind="0"), "malformed"),
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (encoding.encode([]), "malformed"),
        (encoding.encode({"a": 1}), "malformed"),
        (b"\x00" * 300_000, "too_large"),
    ],
)
async def test_a_wrong_request_is_refused_and_opens_nothing(frame: bytes, code: str) -> None:
    house, attempts = House(), join.Attempts()
    assert refusal(await answered(house, frame, attempts=attempts)) == code
    assert house.admitted == [] and house.profiles == []
    assert len(attempts.all) == 1


async def test_a_card_that_somebody_else_hands_over_opens_nothing() -> None:
    house = House()
    said = await answered(house, ask(), peer=SigningKey.from_seed(b"x" * 32).public)
    assert refusal(said) == "card"
    assert house.admitted == []


async def test_hanging_up_is_harmless() -> None:
    assert refusal(await answered(House())) == "malformed"
    house = House()
    said = await answered(house, ask())
    assert house.admitted == [CARD.id] and house.profiles == []
    assert refusal(said) == "malformed"


@pytest.mark.parametrize(
    "frames",
    [
        [encoding.encode([join.RECORDS, [b"x"]]), encoding.encode([join.DONE, 1])],
        [encoding.encode([join.RECORDS, [b"x", b"y"]])],
        [encoding.encode([join.DONE, 0])],
        [encoding.encode([join.DONE, 1])],
        [encoding.encode([join.DONE, -1])],
        [encoding.encode([join.WELCOME, b"", 0, []])],
        [encoding.encode([join.RECORDS, [1]])],
        [encoding.encode([join.RECORDS, b"x"])],
    ],
)
async def test_a_profile_that_is_none_is_not_taken(frames: list[bytes]) -> None:
    house = House()
    said = await answered(house, ask(), *frames)
    assert house.profiles == []
    refusal(said)


async def test_tokens_cannot_be_tried_out() -> None:
    house, attempts = House(), join.Attempts()
    for _ in range(bounds.JOIN_REFUSALS_PER_PEER_MAX):
        said = await answered(house, ask(token=b"wrong token 16 b"), attempts=attempts)
        assert refusal(said) == "token"
    assert refusal(await answered(house, ask(), attempts=attempts)) == "quota"
    assert house.admitted == []


def test_attempts_are_forgotten_after_an_hour_and_counted_over_all_strangers() -> None:
    attempts = join.Attempts()
    for n in range(bounds.JOIN_REFUSALS_MAX):
        assert not attempts.too_many(b"another", 1_000.0)
        attempts.refused(n.to_bytes(2, "big"), 1_000.0)
    assert attempts.too_many(b"another", 1_001.0)
    assert not attempts.too_many(b"another", 1_000.0 + join.HOUR_S)
    assert attempts.by_peer == {}


async def test_random_bytes_never_get_further_than_a_refusal() -> None:
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    good = ask()
    for _ in range(300):
        frame = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        house = House()
        said = await answered(house, bytes(frame))
        if bytes(frame) != good:
            assert house.profiles == []
            refusal(said)


def test_record_frames_keep_within_a_batch_and_lose_nothing() -> None:
    records = [bytes([n]) * 997 for n in range(200)]
    frames = join.record_frames(records)
    assert all(len(frame) <= 65_536 for frame in frames)
    back = [r for f in frames for r in join.read_frame(f, join.RECORDS)[1]]  # type: ignore[union-attr]
    assert back == records


def test_a_refusal_becomes_a_sentence_with_advice() -> None:
    for code in ("token", "card", "from_future", "expired", "quota", "unheard_of"):
        with pytest.raises(join.JoinRefused) as caught:
            join.read_frame(encoding.encode([join.REFUSAL, code, ""]), join.WELCOME)
        assert str(caught.value).endswith(".")
        assert caught.value.facts["reason"] == code
