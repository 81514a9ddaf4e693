"""Say to whom a step is sealed: to every key that reads in somebody's name (spec/08).

A person reads on each device whose key the coop vouches for, and so does a helper whose mandate
covers steps of exchanges; a coop reads with the sealing key of its profile. Keys that this node
holds need no letter: what comes is in the transcript already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from maillon.node.engine.exchange.bounds import ADDRESSEES_MAX
from maillon.node.engine.exchange.ports import Directory, Keys
from maillon.protocol.exchange import Exchange, Step
from maillon.protocol.records.exchange import STEP_KINDS
from maillon.protocol.view import MandateInfo, coop_author, person_author

PERSON_AUTHOR_BYTES = 49


@dataclass(frozen=True, slots=True)
class Addressee:
    """A sealing key of somebody, and the coop whose node hands letters to it out."""

    coop: bytes
    key: bytes


def is_person(author: bytes) -> bool:
    """Tell whether an author is a person, not a coop."""
    return len(author) == PERSON_AUTHOR_BYTES


def coop_of(author: bytes) -> bytes:
    """Return the coop of an author, or that it is."""
    return author[1:33]


def in_force(mandate: MandateInfo, now: int) -> bool:
    """Tell whether a mandate lets its delegate take steps of exchanges now."""
    return (
        mandate.start <= now <= mandate.end
        and mandate.ended is None
        and not STEP_KINDS.isdisjoint(mandate.kinds - mandate.forbidden)
    )


class Addressing:
    """Find sealing keys, by the records that are live now."""

    def __init__(self, coop: bytes, directory: Directory, keys: Keys) -> None:
        self._coop = coop
        self._directory = directory
        self._keys = keys

    def is_here(self, author: bytes) -> bool:
        """Tell whether an author is a member of this coop, or the coop itself."""
        return coop_of(author) == self._coop

    def reads_here(self, author: bytes, now: int) -> bool:
        """Tell whether somebody here reads in an author's name: as themselves or under a mandate.

        A device's key does not count: the node opens none of its letters, but keeps what the device
        hands to it.
        """
        if self.is_here(author):
            return True
        return any(
            mandate.delegate_coop == self._coop for mandate in self.mandates_given(author, now)
        )

    def mandates_given(self, author: bytes, now: int) -> Iterator[MandateInfo]:
        """Yield the mandates that an author gave and that cover steps of exchanges now."""
        coop = coop_of(author)
        if is_person(author):
            keys = [info.key for info in self._directory.keys_of(author)]
        else:
            info = self._directory.coop(coop)
            keys = [key for key in (info.node_key, info.root) if key] if info is not None else []
        for key in keys:
            for mandate in self._directory.mandates_of(coop, key):
                if mandate.author == author and in_force(mandate, now):
                    yield mandate

    def of(self, author: bytes, now: int) -> Iterator[Addressee]:
        """Yield the keys that read in an author's name and are not held here."""
        coop = coop_of(author)
        if is_person(author):
            for info in self._directory.keys_of(author):
                if info.status == "active" and not self._read_here(coop, info.key):
                    yield Addressee(coop, info.sealing)
        else:
            yield from self._coop_key(coop)
        for mandate in self.mandates_given(author, now):
            delegate = self._directory.membership(mandate.delegate_coop, mandate.delegate_key)
            if delegate is None:
                # A coop that acts for somebody does so with its node's key.
                acting = self._directory.coop(mandate.delegate_coop)
                if acting is not None and acting.node_key == mandate.delegate_key:
                    yield from self._coop_key(mandate.delegate_coop)
            elif delegate.status == "active" and not self._read_here(
                mandate.delegate_coop, delegate.key
            ):
                yield Addressee(mandate.delegate_coop, delegate.sealing)

    def _read_here(self, coop: bytes, key: bytes) -> bool:
        """Tell whether a key of a member is held here, where its coop's letters go.

        Who moves has one key in two coops for a while: that the new one holds it tells the old
        one's node nothing.
        """
        return coop == self._coop and self._keys.holds(key)

    def _coop_key(self, coop: bytes) -> Iterator[Addressee]:
        if coop == self._coop:
            return
        profile = self._directory.profile(coop)
        sealing = None if profile is None else profile.signed.payload.get("sealing")
        if sealing is not None:
            yield Addressee(coop, sealing)

    def all(self, authors: Iterable[bytes], now: int) -> list[Addressee]:
        """Return the keys of several authors, each once, at most ADDRESSEES_MAX."""
        found: dict[Addressee, None] = {}
        for author in authors:
            for addressee in self.of(author, now):
                found[addressee] = None
                if len(found) >= ADDRESSEES_MAX:
                    return list(found)
        return list(found)


def concerned(state: Exchange, step: Step | None = None) -> list[bytes]:
    """Return the authors who read an exchange as it stands, the two parties first.

    The mediator reads from the complaint on; a provider to whom it is handed over from the
    requester's consent on; those whom a collective demand speaks for until something is revealed of
    who asks. The coop of the requester of a bundle's part reads it, because its node decides. A
    third-party payer reads nothing.
    """
    found = dict.fromkeys((state.requester, state.provider, state.first_provider))
    for handover in state.handovers:
        if handover.status != "proposed":
            found[handover.by] = None
            if handover.task is None:
                found[handover.to] = None
    if state.mediator is not None and (
        state.complaint is not None or state.phase == "disputed" or state.mediated
    ):
        found[state.mediator] = None
    if state.bundle is not None:
        found[coop_author(coop_of(state.requester))] = None
    if state.participants and not reveals(state, step):
        found.update(dict.fromkeys(state.participants))
    if step is not None:
        found[step.author] = None
    return list(found)


def reveals(state: Exchange, step: Step | None) -> bool:
    """Tell whether the transcript says how to reach somebody, or the step does."""
    payload = None if step is None else step.payload
    return bool(state.contacts) or (payload is not None and "contact" in payload)


__all__ = [
    "Addressee",
    "Addressing",
    "concerned",
    "coop_of",
    "in_force",
    "is_person",
    "person_author",
    "reveals",
]
