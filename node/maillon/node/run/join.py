"""Let a coop in, over the network: the stream /maillon/1/join (spec/10).

    newcomer                                inviter
      [0, 1, token, card]            →
                                     ←  [1, founding file, missing, names]     or  [9, code, text]
                                     ←  [2, [record, …]] …                     identity records
                                     ←  [3, count]
      [2, [profile record]]          →
      [3, 1]                         →
                                     ←  [3, missing]                           or  [9, code, text]

Each frame is one canonical value. The newcomer proves its node key by the connection itself, its
root key by the signatures on card and profile, and its right to ask by the token. The inviter is
the only one who sees the token; it is compared in constant time and written nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import trio

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.run.logs import get_log
from maillon.protocol import encoding
from maillon.protocol.cards import CoopCard, decode_card
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import decode_record
from maillon.protocol.errors import LocalError, Malformed, NotAllowed, RemoteError
from maillon.protocol.limits import (
    BATCH_BYTES_MAX,
    CARD_BYTES_MAX,
    COOPS_MAX,
    FOUNDING_FILE_BYTES_MAX,
    RECORD_BYTES_MAX,
)

if TYPE_CHECKING:
    from maillon.node.home import Home
    from maillon.node.ports import FrameStream

PROTOCOL = "/maillon/1/join"
VERSION = 1
ASK, WELCOME, RECORDS, DONE, REFUSAL = 0, 1, 2, 3, 9
TOKEN_BYTES = 16
TEXT_CHARACTERS_MAX = 200
NAMES_MAX = COOPS_MAX
HOUR_S = 3_600
RECORDS_MAX = 100_000

log = get_log("maillon.join")


class JoinRefused(LocalError):
    """The other node did not let us in; `reason` is its code."""

    code = "join_refused"


class Refuse(Exception):
    """What the inviter answers instead of a welcome."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


# --- Frames -------------------------------------------------------------------------------------


def read_frame(frame: bytes | None, *allowed: int) -> list[Value]:
    """Read a frame and prove its form. Raises: Malformed, JoinRefused for a refusal."""
    if frame is None:
        raise Malformed("The other side ended the conversation.", rule="join_end")
    value = encoding.decode(frame, bytes_max=bounds.JOIN_FRAME_BYTES_MAX)
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Malformed(rule="join_frame")
    if value[0] == REFUSAL and len(value) >= 2 and type(value[1]) is str:
        raise JoinRefused(_sentence(value[1]), hint=_advice(value[1]), reason=value[1][:32])
    if value[0] not in allowed or not _FORMS[value[0]](value):
        raise Malformed(rule="join_frame")
    return value


def _is_bytes(value: Value, longest: int) -> bool:
    return type(value) is bytes and len(value) <= longest


def _ask_form(value: list[Value]) -> bool:
    return (
        len(value) >= 4
        and type(value[1]) is int
        and type(value[2]) is bytes
        and len(value[2]) == TOKEN_BYTES
        and _is_bytes(value[3], CARD_BYTES_MAX)
    )


def _welcome_form(value: list[Value]) -> bool:
    return (
        len(value) >= 4
        and _is_bytes(value[1], FOUNDING_FILE_BYTES_MAX)
        and type(value[2]) is int
        and value[2] >= 0
        and type(value[3]) is list
        and len(value[3]) <= NAMES_MAX
        and all(type(name) is str and len(name) <= TEXT_CHARACTERS_MAX for name in value[3])
    )


def _records_form(value: list[Value]) -> bool:
    return (
        len(value) >= 2
        and type(value[1]) is list
        and all(_is_bytes(record, RECORD_BYTES_MAX) for record in value[1])
    )


def _done_form(value: list[Value]) -> bool:
    return len(value) >= 2 and type(value[1]) is int and value[1] >= 0


_FORMS: dict[int, Callable[[list[Value]], bool]] = {
    ASK: _ask_form,
    WELCOME: _welcome_form,
    RECORDS: _records_form,
    DONE: _done_form,
}


def record_frames(records: Sequence[bytes]) -> list[bytes]:
    """Pack records into frames of at most a batch's size."""
    frames: list[bytes] = []
    held: list[Value] = []
    size = 0
    for record in records:
        if held and size + len(record) + 8 > BATCH_BYTES_MAX:
            frames.append(encoding.encode([RECORDS, held]))
            held, size = [], 0
        held.append(record)
        size += len(record) + 8
    if held:
        frames.append(encoding.encode([RECORDS, held]))
    return frames


def _sentence(code: str) -> str:
    return {
        "token": _("The invitation is not known there, has been used or has expired."),
        "card": _("The other node did not accept your coop's card."),
        "from_future": _("Your clock is ahead of the other node's."),
        "expired": _("Your clock is behind the other node's."),
        "version_unsupported": _("The other node speaks another version of the protocol."),
        "quota": _("The other node has refused too many attempts lately."),
        "coop_excluded": _("The federation has excluded your coop."),
    }.get(code, _("The other node refused to let your coop in ({code}).").format(code=code[:32]))


def _advice(code: str) -> str | None:
    if code in ("from_future", "expired"):
        return _("Set your clock (timedatectl set-ntp true), then try again.")
    if code == "token":
        return _("Ask the coop that invited you for a new code.")
    if code == "quota":
        return _("Try again in an hour.")
    return None


# --- The inviter's side -------------------------------------------------------------------------


@dataclass(slots=True)
class Attempts:
    """Count refused attempts, so that tokens cannot be tried out."""

    by_peer: dict[bytes, list[float]] = field(default_factory=dict[bytes, list[float]])
    all: list[float] = field(default_factory=list[float])

    def refused(self, peer: bytes, now: float) -> None:
        self._forget(now)
        self.all.append(now)
        self.by_peer.setdefault(peer, []).append(now)

    def too_many(self, peer: bytes, now: float) -> bool:
        self._forget(now)
        own = self.by_peer.get(peer, ())
        return (
            len(own) >= bounds.JOIN_REFUSALS_PER_PEER_MAX
            or len(self.all) >= bounds.JOIN_REFUSALS_MAX
        )

    def _forget(self, now: float) -> None:
        self.all = [at for at in self.all if 0 <= now - at < HOUR_S]
        for peer, times in list(self.by_peer.items()):
            kept = [at for at in times if 0 <= now - at < HOUR_S]
            if kept:
                self.by_peer[peer] = kept
            else:
                del self.by_peer[peer]


class Door:
    """What the inviter's side asks of its node."""

    def check_token(self, token: bytes, root: bytes) -> bool:
        raise NotImplementedError

    def founding_file(self) -> bytes:
        raise NotImplementedError

    def admit_card(self, card: CoopCard, token: bytes) -> tuple[int, list[str]]:
        """Use the token, give our word if we may; return founders still missing and their names.

        Raises: Refuse.
        """
        raise NotImplementedError

    def identity_records(self) -> list[bytes]:
        raise NotImplementedError

    async def take_profile(self, record: bytes, peer: bytes) -> int:
        """Take the newcomer's profile in; return how many founders are still missing.

        Raises: MaillonError.
        """
        raise NotImplementedError

    def now(self) -> float:
        raise NotImplementedError


async def answer_join(stream: FrameStream, door: Door, attempts: Attempts) -> None:
    """Serve one newcomer; whatever it sends, the worst that happens is a refusal."""
    peer = stream.peer
    try:
        with trio.fail_after(bounds.JOIN_S_MAX):
            await _answer(stream, door, attempts, peer)
    except Refuse as refusal:
        attempts.refused(peer, door.now())
        log.info("refused to let a node in", peer=peer, code=refusal.code)
        await _refuse(stream, refusal.code)
    except (RemoteError, LocalError) as fault:
        attempts.refused(peer, door.now())
        log.info("broke off with a node that asked to join", peer=peer, code=fault.code)
        await _refuse(stream, fault.code)
    except trio.TooSlowError:
        await stream.reset()


async def _refuse(stream: FrameStream, code: str) -> None:
    with trio.move_on_after(2):
        await stream.send(encoding.encode([REFUSAL, code, ""]))
        await stream.close()


async def _answer(stream: FrameStream, door: Door, attempts: Attempts, peer: bytes) -> None:
    if attempts.too_many(peer, door.now()):
        raise Refuse("quota")
    ask: list[Any] = [*read_frame(await stream.receive(), ASK)]
    version, token, data = ask[1:4]
    if version != VERSION:
        raise Refuse("version_unsupported")
    try:
        card = decode_card(data)
    except RemoteError:
        raise Refuse("card") from None
    # The connection proves the node key: a card that somebody else handed over opens nothing.
    if card.node_key != peer:
        raise Refuse("card")
    if not door.check_token(token, card.root):
        raise Refuse("token")
    missing, names = door.admit_card(card, token)
    log.info("lets a coop in", coop=card.id, name=card.name, founders_missing=missing)
    shown: list[Value] = [name[:TEXT_CHARACTERS_MAX] for name in names[:NAMES_MAX]]
    await stream.send(encoding.encode([WELCOME, door.founding_file(), missing, shown]))
    records = door.identity_records()
    for frame in record_frames(records):
        await stream.send(frame)
    await stream.send(encoding.encode([DONE, len(records)]))
    sent = await receive_records(stream, 1)
    if len(sent) != 1:
        raise Malformed(rule="join_count")
    record = sent[0]
    if coop_of(record) != card.id:
        raise Refuse("card")
    missing = await door.take_profile(record, peer)
    await stream.send(encoding.encode([DONE, missing]))
    await stream.close()


def coop_of(record: bytes) -> bytes:
    """Return the coop that a profile is of. Raises: Malformed and its kinds, NotAllowed."""
    header = decode_record(record).header
    if header.kind != "coop_profile":
        raise NotAllowed("Only the newcomer's profile has a place here.", kind=header.kind)
    return header.coop


async def receive_records(stream: FrameStream, most: int) -> list[bytes]:
    """Return the records up to DONE. Raises: Malformed when there are too many, or their number
    is not the one that DONE says."""
    records: list[bytes] = []
    while True:
        value = read_frame(await stream.receive(), RECORDS, DONE)
        if value[0] == DONE:
            if value[1] != len(records):
                raise Malformed(rule="join_count")
            return records
        records += cast("list[bytes]", value[1])
        if len(records) > most:
            raise Malformed(rule="join_count")


# --- The newcomer's side ------------------------------------------------------------------------


def join_federation(home: Home, password: bytes, code: str) -> dict[str, Any]:
    """Join with an invitation; write the founding file and the first records into the home.

    Raises: TextDamaged or LocalError for the code, JoinRefused, DialFailed and other errors of the
    network, HomeError when the home belongs to a federation already.
    """
    from maillon.node import clock, keyring
    from maillon.node.config import load_config
    from maillon.node.home import AlreadyExists, hold_lock
    from maillon.protocol.cards import invitation_from_text

    if home.founding.exists():
        raise AlreadyExists(
            _("This node belongs to a federation already; nothing was changed."),
            hint=_("Show it with: maillon federation show"),
        )
    config = load_config(home)
    invitation = invitation_from_text(code, now=clock.now())
    with hold_lock(home):
        root = keyring.open_root(home, password)
        node_key = keyring.open_node(home, password)
        from maillon.node.run.ledgerkeys import ensure_ledger_keys
        from maillon.node.run.newcomer import Newcomer

        keys = ensure_ledger_keys(home, password)
        newcomer = Newcomer(home, config, root, node_key, invitation, keys)
        return newcomer.join()


def salt() -> bytes:
    """Return 16 random bytes for a payload."""
    return os.urandom(16)
