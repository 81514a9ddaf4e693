"""Write the letters that tell a step, into the same transaction as the step (spec/08-letters).

Who reads the transcript already gets the step alone; who does not yet, because they are mediator
from now on, a new device, a helper of today, gets all of it. Each letter brings along what vouches
for whoever signed: a reader that gossip has not reached yet understands it all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import Addressee, Addressing, concerned
from maillon.node.engine.exchange.notes import OutLetter
from maillon.node.engine.exchange.ports import Note
from maillon.node.engine.exchange.transcripts import Transcripts
from maillon.protocol.envelope import Signed
from maillon.protocol.exchange import Exchange, Step
from maillon.protocol.letters import ITEM_STEP, ITEM_VOUCHER, Item
from maillon.protocol.limits import LETTER_ITEMS_MAX

if TYPE_CHECKING:
    from maillon.node.engine.exchange.intake import Setup


class Outbox:
    """The letters that wait for the post office."""

    def __init__(self, setup: Setup, addressing: Addressing, transcripts: Transcripts) -> None:
        self._setup = setup
        self._store = setup.store
        self._addressing = addressing
        self._transcripts = transcripts

    def tell(self, state: Exchange, step: Step, signed: Signed, now: int) -> None:
        """Write the letters that bring a step of ours to all who read the exchange."""
        whole: list[Signed] | None = None
        for author in concerned(state, step):
            if not self._addressing.is_here(author) and not any(self._addressing.of(author, now)):
                # Their keys are not known here yet: told when they are.
                key = state.id + author
                self._store.put_note(Note(notes.UNREACHED, key, state.id, now, author))
        for addressee in self._addressing.all(concerned(state, step), now):
            key = state.id + addressee.key
            if self._store.note(notes.SENT, key) is None:
                if whole is None:
                    whole = [found for _, found in self._transcripts.records(state.id)]
                self._store.put_note(Note(notes.SENT, key, state.id, now, b""))
                self._write(addressee, state.id, whole, step.author, now)
            else:
                self._write(addressee, state.id, (signed,), step.author, now)

    def reach(self, state: Exchange, author: bytes, now: int) -> bool:
        """Write the whole transcript to somebody whose keys were not known; False while so."""
        found = list(self._addressing.of(author, now))
        for addressee in found:
            self.repeat(state, addressee.key, now)
        return bool(found)

    def repeat(self, state: Exchange, to_key: bytes, now: int) -> None:
        """Write the whole transcript to one key once more."""
        records = self._transcripts.records(state.id)
        own = [row.author for row, _ in records if self._addressing.is_here(row.author)]
        for addressee in self._addressing.all(concerned(state), now):
            if addressee.key == to_key and own:
                self._store.put_note(Note(notes.SENT, state.id + to_key, state.id, now, b""))
                whole = [signed for _, signed in records]
                self._write(addressee, state.id, whole, own[-1], now, again=True)

    def send_to(
        self,
        authors: Iterable[bytes],
        exchange: bytes,
        records: Sequence[Signed],
        owner: bytes,
        now: int,
    ) -> None:
        """Write letters with some records to people who need not read the exchange."""
        for addressee in self._addressing.all(authors, now):
            self._write(addressee, exchange, records, owner, now)

    def send_items(
        self,
        authors: Iterable[bytes],
        exchange: bytes,
        items: tuple[Item, ...],
        owner: bytes,
        now: int,
    ) -> None:
        """Write letters with something that is no record; the same once more is another letter."""
        for addressee in self._addressing.all(authors, now):
            ticket = notes.ticket_of(addressee.key + now.to_bytes(8, "big"), items)
            self._keep(addressee, exchange, ticket, items, owner, now)

    def send_records(
        self,
        addressees: Iterable[Addressee],
        exchange: bytes,
        records: Sequence[Signed],
        owner: bytes,
        now: int,
    ) -> None:
        """Write letters with some records to some keys, although they may have had them."""
        for addressee in addressees:
            self._write(addressee, exchange, records, owner, now, again=True)

    def _write(
        self,
        addressee: Addressee,
        exchange: bytes,
        records: Sequence[Signed],
        owner: bytes,
        now: int,
        *,
        again: bool = False,
    ) -> None:
        for items in self._letters(records):
            ticket = notes.ticket_of(addressee.key, items)
            if again:
                # The post office knows the old one, and would send nothing.
                ticket = notes.ticket_of(ticket + now.to_bytes(8, "big"), items)
            self._keep(addressee, exchange, ticket, items, owner, now)

    def _keep(
        self,
        addressee: Addressee,
        exchange: bytes,
        ticket: bytes,
        items: tuple[Item, ...],
        owner: bytes,
        now: int,
    ) -> None:
        letter = OutLetter(
            ticket,
            exchange,
            now,
            addressee.coop,
            addressee.key,
            owner,
            now + bounds.LETTER_S,
            items,
        )
        self._store.put_note(letter.note())

    def _letters(self, records: Sequence[Signed]) -> list[tuple[Item, ...]]:
        """Divide records among letters, what vouches for them before them."""
        letters: list[tuple[Item, ...]] = []
        items: list[Item] = []
        vouched: set[bytes] = set()
        size = 0
        for record in records:
            new = [*self._vouchers(record, vouched), Item(ITEM_STEP, record.encode())]
            length = sum(len(item.data) for item in new)
            full = size + length > bounds.LETTER_ITEMS_BYTES
            if items and (full or len(items) + len(new) > LETTER_ITEMS_MAX):
                letters.append(tuple(items))
                items, size = [], 0
            items += new
            size += length
        if items:
            letters.append(tuple(items))
        return letters

    def with_vouchers(self, records: Sequence[Signed]) -> list[bytes]:
        """Return records, and before them what vouches for whoever signed them."""
        vouched: set[bytes] = set()
        vouchers = [item.data for record in records for item in self._vouchers(record, vouched)]
        return [*vouchers, *(record.encode() for record in records)]

    def _vouchers(self, record: Signed, vouched: set[bytes]) -> list[Item]:
        """Return the membership and mandate that a record rests on, unless they went before."""
        header = record.header
        directory = self._setup.directory
        member = directory.membership(header.coop, header.by)
        mandate = directory.mandate(header.as_) if header.as_ else None
        ids = [] if member is None else [bytes(member.record)]
        if mandate is not None:
            principal = directory.membership(mandate.principal_coop, mandate.principal_key)
            ids += [] if principal is None else [bytes(principal.record)]
            ids.append(bytes(mandate.record))
        found: list[Item] = []
        for id in ids:
            kept = None if id in vouched else self._setup.records.record(id)
            if kept is not None:
                vouched.add(id)
                found.append(Item(ITEM_VOUCHER, kept.encode()))
        return found
