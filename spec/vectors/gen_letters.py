"""Make the vectors of letters (spec/08-letters)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from maillon.node.engine.post import PostOffice
from maillon.node.engine.post.bounds import Bounds
from maillon.node.engine.post.memory import MemoryLetters
from maillon.protocol import encoding
from maillon.protocol.keys import SEALING_BYTES, SealingKey
from maillon.protocol.letterframes import Ack, Again, Ask, Put, Range, decode_frame, encode_frame
from maillon.protocol.letters import (
    ITEM_APP,
    ITEM_ATTESTATION,
    ITEM_STEP,
    ITEM_VOUCHER,
    Item,
    Letter,
    LetterHeader,
    letter_id,
    letter_parts,
    plaintext,
    seal,
    thread_id,
)
from maillon.protocol.limits import (
    LETTER_LIFETIME_S_MAX,
    LETTER_PLAIN_BYTES_MAX,
    LETTER_WINDOW,
    PUT_LETTERS_MAX,
    PUT_RANGES_MAX,
    RECORD_BYTES_MAX,
)
from support.hpke_reference import sealer

FED, FROM, TO = b"\x66" * 32, b"\x11" * 32, b"\x22" * 32
ERA, EXCHANGE = b"\x33" * 16, b"\x44" * 32
AT = 1_800_000_000
DAY = 86_400
KEY = SealingKey.from_seed(bytes(range(32)))
OTHER = SealingKey.from_seed(bytes(range(1, 33)))
LETTER = b"maillon/1/letter\0"
BASE = LetterHeader(
    FED, FROM, TO, KEY.public, thread_id(EXCHANGE, KEY.public, ERA), 0, AT, AT + 14 * DAY, 0
)


class Maker:
    """Seal with keys drawn from the generator's random numbers."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sealer = sealer(rng)

    def letter(self, *items: Item, header: LetterHeader = BASE, **changes: Any) -> Letter:
        """Return a letter as a writer makes it."""
        now = replace(header, **changes)
        return seal(
            fed=now.fed, from_coop=now.from_coop, to_coop=now.to_coop, to_key=now.to_key,
            thread=now.thread, n=now.n, at=now.at, until=now.until,
            items=items or (Item(ITEM_STEP, b"a step"),), sealer=self.sealer,
        )  # fmt: skip

    def raw(self, plain: bytes, **changes: Any) -> bytes:
        """Return a letter around any plaintext."""
        header = replace(BASE, size=len(plain) + SEALING_BYTES, **changes).encode()
        return encoding.encode([header, self.sealer(KEY.public, LETTER + header, plain)])


def padded(value: object, total: int = 512, fill: bytes = b"\0") -> bytes:
    """Return [1, value, padding] of exactly `total` bytes."""
    for size in range(total):
        data = encoding.encode([1, value, fill * size])  # type: ignore[list-item]
        if len(data) == total:
            return data
    raise AssertionError("no padding fits")


def _opened(name: str, letter: Letter, items: Sequence[Item]) -> dict[str, object]:
    header = letter.header
    return {
        "name": name,
        "bytes": letter.encode(),
        "key": KEY.secret_bytes(),
        "expect": "ok",
        "id": letter.id,
        "thread": header.thread,
        "n": header.n,
        "at": header.at,
        "until": header.until,
        "items": [
            {"type": item.kind, "data": item.data}
            | ({"release": item.release} if item.kind == ITEM_ATTESTATION else {})
            for item in items
        ],
    }


def _letters(make: Maker) -> list[dict[str, object]]:
    step, voucher = Item(ITEM_STEP, b"a step"), Item(ITEM_VOUCHER, b"a membership")
    listed: list[dict[str, object]] = []
    for name, items in (
        ("one step", (step,)),
        (
            "one item of each type",
            (step, voucher, Item(ITEM_ATTESTATION, b"a mark", AT), Item(ITEM_APP, b"else")),
        ),
        ("a release at once", (Item(ITEM_ATTESTATION, b"a mark", 0),)),
        ("no byte missing after an empty padding", (Item(ITEM_APP, bytes(502)),)),
        ("255 bytes missing", (Item(ITEM_APP, bytes(248)),)),
        ("256 bytes missing, which no padding fills", (Item(ITEM_APP, bytes(247)),)),
        ("257 bytes missing", (Item(ITEM_APP, bytes(246)),)),
        ("three records of the greatest length", (Item(ITEM_STEP, bytes(RECORD_BYTES_MAX)),) * 3),
        ("64 items", (voucher,) * 64),
    ):
        listed.append(_opened(name, make.letter(*items), items))
    listed.append(
        _opened(
            "the longest life, and a number beyond 32 bits",
            make.letter(until=AT + LETTER_LIFETIME_S_MAX, n=2**40),
            (step,),
        )
    )
    rows = [[1, b"a step"], [9, "of a later version", [True]]]
    later = make.raw(padded(rows))
    header_bytes, sealed = letter_parts(later)
    header = replace(BASE, size=len(sealed))
    listed.append(
        _opened(
            "an item of a type not known is passed over",
            Letter(letter_id(header_bytes, sealed), header, header_bytes, sealed),
            (step,),
        )
    )
    for name, expect, rule, data in _refused(make):
        case: dict[str, object] = {
            "name": name, "bytes": data, "key": KEY.secret_bytes(), "expect": expect,
        }  # fmt: skip
        if rule:
            case["rule"] = rule
        listed.append(case)
    return listed


def _refused(make: Maker) -> list[tuple[str, str, str, bytes]]:
    good = make.letter()
    encode = encoding.encode
    parts: list[Any] = [
        1, FED, FROM, TO, KEY.public, BASE.thread, 0, AT, AT + DAY, len(good.sealed),
    ]  # fmt: skip

    def header(place: int, part: Any) -> bytes:
        changed = parts[:place] + [part] + parts[place + 1 :]
        return encode([encode(changed), good.sealed])

    def flipped(data: bytes, place: int) -> bytes:
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

    short = make.raw(bytes(512))[:-1]
    return [
        ("no pair", "malformed", "letter", encode([good.header_bytes])),
        ("three parts", "malformed", "letter", encode([good.header_bytes, good.sealed, 0])),
        ("a text in place of sealed bytes", "malformed", "letter", encode([b"", "sealed"])),
        ("a map", "malformed", "letter", encode({"header": b""})),
        ("cut short", "malformed", "truncated", good.encode()[:-1]),
        ("a byte behind it", "malformed", "trailing_bytes", good.encode() + b"\0"),
        ("a header that is no array", "malformed", "letter_header", encode([encode(1), b""])),
        ("a header with a part less", "malformed", "letter_header",
         encode([encode(parts[:-1]), good.sealed])),
        ("a header with a part more", "malformed", "letter_header",
         encode([encode([*parts, 0]), good.sealed])),
        ("version 2", "version_unsupported", "", header(0, 2)),
        ("version 2 in another form", "version_unsupported", "",
         encode([encode([2, "else"]), good.sealed])),
        ("a coop id of 31 bytes", "malformed", "letter_header", header(2, bytes(31))),
        ("a thread of 17 bytes", "malformed", "letter_header", header(5, bytes(17))),
        ("a negative number", "malformed", "letter_header", header(6, -1)),
        ("a number that is true", "malformed", "letter_header", header(6, True)),
        ("an end before its begin", "lifetime", "", header(8, AT - 1)),
        ("an end at its begin", "lifetime", "", header(8, AT)),
        ("a life a second too long", "lifetime", "", header(8, AT + LETTER_LIFETIME_S_MAX + 1)),
        ("another size than it says", "malformed", "letter_size",
         header(9, len(good.sealed) + 512)),
        ("a plaintext of no multiple of 512 bytes", "malformed", "letter_size",
         make.raw(bytes(511))),
        ("nothing sealed", "malformed", "letter_size", make.raw(b"")),
        ("a plaintext of 512 bytes too many", "too_large", "total_length",
         make.raw(bytes(LETTER_PLAIN_BYTES_MAX + 512))),
        ("a sealed byte that was lost", "malformed", "truncated", short),
        ("another header than was sealed", "cannot_open", "", header(8, AT + 2 * DAY)),
        ("sealed to another key", "cannot_open", "",
         make.letter(to_key=OTHER.public).encode()),
        ("a changed byte of the ciphertext", "cannot_open", "",
         encode([good.header_bytes, flipped(good.sealed, 40)])),
        ("a changed byte of the tag", "cannot_open", "",
         encode([good.header_bytes, flipped(good.sealed, len(good.sealed) - 1)])),
        ("an ephemeral key of small order", "cannot_open", "",
         encode([good.header_bytes, bytes(32) + good.sealed[32:]])),
        ("a plaintext of another version", "version_unsupported", "",
         make.raw(b"\x93\x02" + padded([[1, b"s"]])[2:])),
        ("a plaintext that is no array", "malformed", "", make.raw(bytes(512))),
        ("a plaintext without padding", "malformed", "plaintext",
         make.raw(encode([1, [[4, bytes(504)]]]))),
        ("a padding of other bytes than zero", "malformed", "padding",
         make.raw(padded([[1, b"s"]], fill=b"\x01"))),
        ("no items", "malformed", "plaintext", make.raw(padded([]))),
        ("65 items", "malformed", "plaintext", make.raw(padded([[1, b"s"]] * 65))),
        ("an item that is no array", "malformed", "item", make.raw(padded([b"s"]))),
        ("an item of one part", "malformed", "item", make.raw(padded([[1]]))),
        ("an item whose type is a text", "malformed", "item", make.raw(padded([["1", b"s"]]))),
        ("a step that is a text", "malformed", "item", make.raw(padded([[1, "s"]]))),
        ("an empty step", "malformed", "item", make.raw(padded([[1, b""]]))),
        ("a step of three parts", "malformed", "item", make.raw(padded([[1, b"s", 0]]))),
        ("a record too long", "malformed", "item",
         make.raw(padded([[1, bytes(RECORD_BYTES_MAX + 1)]], 512 * 37))),
        ("an attestation without its time", "malformed", "item", make.raw(padded([[3, b"s"]]))),
        ("an attestation with a negative time", "malformed", "item",
         make.raw(padded([[3, b"s", -1]]))),
    ]  # fmt: skip


def _frames() -> list[dict[str, object]]:
    thread, id = BASE.thread, b"\x55" * 32
    part = Range(thread, 3, 7)
    encode = encoding.encode
    row: list[Any] = [thread, 3, 7]
    good: list[tuple[str, Any, dict[str, object]]] = [
        ("a letter", Put((b"letter",)), {"letters": [b"letter"], "gone": []}),
        ("numbers given up", Put((), (part,)), {"letters": [], "gone": [row]}),
        ("64 letters", Put((b"x",) * 64), {"letters": [b"x"] * 64, "gone": []}),
        (
            "an answer",
            Ack(((id, "stored"),), (part,), (part,)),
            {"outcomes": [[id, "stored"]], "wants": [row], "noted": [row]},
        ),
        (
            "an answer with an outcome of later",
            Ack(((id, "too_wet"),)),
            {"outcomes": [[id, "too_wet"]], "wants": [], "noted": []},
        ),
        ("a question", Ask(AT, (part,)), {"since": AT, "wants": [row]}),
        ("letters on their way again", Again(3), {"count": 3}),
    ]
    listed: list[dict[str, object]] = [
        {"name": name, "bytes": encode_frame(frame), "expect": "ok", **result}
        for name, frame, result in good
    ]
    bad: list[tuple[str, str, bytes]] = [
        ("no array", "letter_frame", encode({"v": 1})),
        ("no type", "letter_frame", encode([])),
        ("type 5", "letter_frame", encode([5])),
        ("a type that is true", "letter_frame", encode([True, [], []])),
        ("a part less", "letter_frame", encode([1, [b"x"]])),
        ("a part more", "letter_frame", encode([4, 0, 0])),
        ("an empty letter", "letter_frame", encode([1, [b""], []])),
        ("a letter too long", "letter_frame", encode([1, [bytes(61_761)], []])),
        ("65 letters", "letter_frame", encode([1, [b"x"] * (PUT_LETTERS_MAX + 1), []])),
        ("257 ranges", "letter_frame", encode([1, [], [row] * (PUT_RANGES_MAX + 1)])),
        ("a range that ends before it begins", "letter_frame", encode([1, [], [[thread, 7, 3]]])),
        ("a range of two parts", "letter_frame", encode([1, [], [[thread, 7]]])),
        ("a range of a short thread", "letter_frame", encode([1, [], [[bytes(15), 0, 1]]])),
        ("an outcome without its code", "letter_frame", encode([2, [[id]], [], []])),
        ("an outcome of a short id", "letter_frame", encode([2, [[id[:-1], "known"]], [], []])),
        ("an outcome of no characters", "letter_frame", encode([2, [[id, ""]], [], []])),
        ("an outcome of 33 characters", "letter_frame", encode([2, [[id, "x" * 33]], [], []])),
        ("65 outcomes", "letter_frame", encode([2, [[id, "known"]] * 65, [], []])),
        ("a negative time", "letter_frame", encode([3, -1, []])),
        ("a negative count", "letter_frame", encode([4, -1])),
        ("a byte behind it", "trailing_bytes", encode([4, 0]) + b"\0"),
    ]
    for name, rule, data in bad:
        listed.append({"name": name, "bytes": data, "expect": "malformed", "rule": rule})
    return listed


class _Everybody:
    """The federation of the receiver in the vectors."""

    def __init__(self, coops: Sequence[bytes], keys: Sequence[bytes]) -> None:
        self._coops, self._keys = coops, keys

    def belongs(self, coop: bytes) -> bool:
        return coop in self._coops

    def addressee(self, key: bytes) -> bool:
        return key in self._keys


class _Receiver:
    """Take PUTs in, one after the other, and write down what becomes of them."""

    def __init__(self, make: Maker, name: str) -> None:
        self.name = name
        self.make = make
        self.office = PostOffice(
            MemoryLetters(), fed=FED, coop=TO, federation=_Everybody((FROM, TO), (KEY.public,)),
            random=make.rng.randbytes, rng=make.rng, bounds=Bounds(), sealer=make.sealer,
        )  # fmt: skip
        self.office.start(AT)
        self.steps: list[dict[str, object]] = []
        self.serial = 0

    def put(
        self, *letters: Letter, gone: Sequence[Range] = (), now: int = AT, coop: bytes = FROM
    ) -> None:
        """Put letters, and note the answer and what can be had since."""
        frame = encode_frame(Put(tuple(letter.encode() for letter in letters), tuple(gone)))
        put = decode_frame(frame)
        assert isinstance(put, Put)
        ack, _ = self.office.received(coop, put, now)
        rows = self.office.inbox(KEY.public, self.serial, 10_000)
        self.serial = rows[-1].serial if rows else self.serial
        self.steps.append(
            {
                "from": coop, "now": now, "put": frame, "ack": encode_frame(ack),
                "ready": [row.id for row in rows],
            }
        )  # fmt: skip

    def case(self) -> dict[str, object]:
        """Return the vector."""
        return {"name": self.name, "expect": "ok", "steps": self.steps}


def _office(make: Maker) -> list[dict[str, object]]:
    cases: list[_Receiver] = []

    def receiver(name: str) -> _Receiver:
        cases.append(_Receiver(make, name))
        return cases[-1]

    def letters(count: int, **changes: Any) -> list[Letter]:
        return [make.letter(n=n, **changes) for n in range(count)]

    thread = BASE.thread
    one = receiver("letters in order")
    a = letters(3)
    one.put(a[0])
    one.put(a[1], a[2])
    again = receiver("a letter that comes again is known")
    again.put(a[0])
    again.put(a[0], a[1])
    again.put(a[1], a[0])
    hole = receiver("a hole is asked for, and what is behind it waits")
    hole.put(a[2])
    hole.put(a[1])
    hole.put(a[0])
    holes = receiver("several holes in one thread")
    b = letters(7)
    holes.put(b[1], b[4], b[6])
    holes.put(b[0], b[2])
    holes.put(b[3], b[5])
    gone = receiver("numbers that are given up are passed over")
    gone.put(b[2], b[4])
    gone.put(gone=[Range(thread, 0, 1)])
    gone.put(b[1])
    gone.put(gone=[Range(thread, 3, 3)])
    gone.put(b[5])
    ahead = receiver("a number given up before those before it came")
    ahead.put(gone=[Range(thread, 2, 2)])
    ahead.put(b[3])
    ahead.put(b[0], b[1])
    kept = receiver("a letter that is here is delivered though its number is given up")
    kept.put(b[1])
    kept.put(gone=[Range(thread, 0, 1)])
    far = receiver("a number too far ahead")
    far.put(make.letter(n=LETTER_WINDOW), make.letter(n=LETTER_WINDOW - 1))
    far.put(gone=[Range(thread, 0, LETTER_WINDOW - 2)])
    far.put(make.letter(n=LETTER_WINDOW))
    beyond = receiver("numbers given up too far ahead are not noted")
    beyond.put(gone=[Range(thread, LETTER_WINDOW, LETTER_WINDOW + 3)])
    beyond.put(gone=[Range(thread, LETTER_WINDOW - 1, LETTER_WINDOW + 3)])
    reused = receiver("another letter of a number that was used")
    reused.put(a[0])
    reused.put(make.letter(Item(ITEM_STEP, b"another step")), a[1])
    two = receiver("threads do not wait for one another")
    elsewhere = thread_id(b"\x45" * 32, KEY.public, ERA)
    two.put(a[1], make.letter(thread=elsewhere))
    answers = receiver("what is not taken in")
    answers.put(
        make.letter(fed=b"\x67" * 32),
        make.letter(to_coop=FROM),
        make.letter(to_key=OTHER.public),
        make.letter(until=AT + 60),
        now=AT + 60,
    )
    future = make.letter(at=AT + 20 * DAY, until=AT + 100 * DAY)
    answers.put(future)
    answers.put(future, now=AT + 10 * DAY)
    skew = receiver("an end at the edges of what a letter lives")
    edge = AT + LETTER_LIFETIME_S_MAX + 300
    skew.put(make.letter(at=AT + 301, until=edge + 1))
    skew.put(make.letter(at=AT + 300, until=edge))
    skew.put(make.letter(n=1, until=AT + 61), now=AT + 60)
    strangers = receiver("letters of strangers, and of another coop than the connection's")
    strangers.put(make.letter(from_coop=b"\x12" * 32), coop=b"\x12" * 32)
    strangers.put(make.letter(from_coop=TO))
    strangers.put(make.letter())
    broken = receiver("a letter that cannot be kept, among others")
    whole = make.letter()
    late = Letter(b"", whole.header, replace(whole.header, until=AT).encode(), whole.sealed)
    newer = Letter(b"", whole.header, encoding.encode([2, "else"]), whole.sealed)
    broken.put(late, newer, whole)
    return [case.case() for case in cases]


def vectors(rng: random.Random) -> dict[str, object]:
    make = Maker(rng)
    assert len(plaintext((Item(ITEM_APP, bytes(247)),))) == 1_024
    exchanges = [bytes(32), EXCHANGE]
    return {
        "letters.json": {
            "spec": "08-letters",
            "about": "Reading `bytes` as a letter and opening it with the secret X25519 key `key`"
            " gives the id, the header and the items. A receiver of the coop `to_coop` that is"
            " put one frame after the other answers `ack`, and `ready` are the ids of the"
            " letters for `keys` that can be had since, in their order.",
            "threads": [
                {
                    "name": f"thread {place}", "exchange": exchange, "to_key": KEY.public,
                    "era": era, "expect": "ok", "thread": thread_id(exchange, KEY.public, era),
                }
                for place, (exchange, era) in enumerate(
                    (exchange, era) for exchange in exchanges for era in (ERA, bytes(16))
                )
            ],
            "letters": _letters(make),
            "frames": _frames(),
            "receiver": {"fed": FED, "to_coop": TO, "coops": [FROM, TO], "keys": [KEY.public]},
            "office": _office(make),
        }
    }  # fmt: skip
