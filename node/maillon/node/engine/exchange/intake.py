"""Take steps in, and let follow what follows from them (spec/08).

One way in for all: a step that somebody here signs passes what a stranger's does, and one check
more, that it fits now. A step, the letters that tell it, and what it sets off are one transaction:
before anything is answered all of it is durable, or none was done. What the world has to do then
(hand letters to the post, orders to the ledger, attestations to the engine) is named in notes that
stay until it is done, so a node that is killed in between goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from maillon.node.engine.exchange import bounds, notes
from maillon.node.engine.exchange.addressing import Addressing, concerned, coop_of
from maillon.node.engine.exchange.bundling import Bundling
from maillon.node.engine.exchange.funding import Funding
from maillon.node.engine.exchange.mending import Mending
from maillon.node.engine.exchange.notes import WaitingStep
from maillon.node.engine.exchange.outbox import Outbox
from maillon.node.engine.exchange.ports import (
    Directory,
    Effect,
    ExchangeStore,
    Fault,
    Happened,
    Keys,
    Ledger,
    Note,
    Post,
    Query,
    Records,
    StepRow,
)
from maillon.node.engine.exchange.projecting import project
from maillon.node.engine.exchange.settling import Settling
from maillon.node.engine.exchange.transcripts import (
    NoSuchExchange,
    Transcripts,
    step_from_row,
)
from maillon.node.engine.exchange.writing import Signer, Writer
from maillon.protocol.envelope import Draft, Signed, decode_record, sign
from maillon.protocol.errors import LocalError, MaillonError, NotAllowed, RemoteError
from maillon.protocol.exchange import Exchange
from maillon.protocol.exchange.bundles import Decision
from maillon.protocol.records.exchange import STEP_KINDS, exchanges_of
from maillon.protocol.validation import Standing, check_stateless, check_step
from maillon.protocol.view import coop_author

NEW: Final = "new"
KNOWN: Final = "known"
WAITS: Final = "waits"


class ExchangesFull(LocalError):
    """The node keeps as many exchanges, or one exchange as many steps, as it can."""

    code = "quota"
    sentence = "There is no room for more steps of this exchange."


class NotConcerned(RemoteError):
    """Nobody here has a part in the exchange, or whoever signed the step has none."""

    code = "not_allowed"
    excusable = True
    sentence = "This exchange is between others."


@dataclass(frozen=True, slots=True)
class Setup:
    """What the core is given. `random` gives secret random bytes."""

    fed: bytes
    coop: bytes
    store: ExchangeStore
    directory: Directory
    ledger: Ledger
    keys: Keys
    records: Records
    random: Callable[[int], bytes]
    automatic: bool = True
    """Reserve, pay and publish without being asked, where the key that it takes is here."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a step: NEW, KNOWN or WAITS; `exchanges` are those it stands in."""

    id: bytes
    exchanges: tuple[bytes, ...]
    outcome: str


class Intake:
    """How steps come in, whoever brings them, and what they set off."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.store = setup.store
        self.addressing = Addressing(setup.coop, setup.directory, setup.keys)
        self.transcripts = Transcripts(setup.store, setup.directory, setup.ledger)
        self.writer = Writer(setup.fed, setup.directory, setup.random)
        self.outbox = Outbox(setup, self.addressing, self.transcripts)
        self.mending = Mending(setup, self.addressing, self.transcripts, self.outbox)
        self.settling = Settling(setup, self.addressing)
        self.bundling = Bundling(setup, self.transcripts)
        self.funding = Funding(setup, self.addressing)
        self._effects: list[Effect] = []
        self._depth = 0

    # --- reading --------------------------------------------------------------------------------

    def state(self, exchange: bytes, now: int) -> Exchange:
        """Return the state of an exchange. Raises: NoSuchExchange."""
        return self.transcripts.fold(exchange, now)

    def newest(self, exchange: bytes) -> int:
        """Return the latest time of a step of an exchange."""
        return max(
            (signed.header.at for _, signed in self.transcripts.records(exchange)), default=0
        )

    # --- drafting -------------------------------------------------------------------------------

    def draft(
        self,
        kind: str,
        fields: Mapping[str, Any],
        signer: Signer,
        exchange: bytes | None,
        now: int,
    ) -> tuple[Draft, Standing]:
        """Draft a step that may be taken now, for a key here or on a device.

        Raises: StepRefused (`step`) with the phase and what is possible; FieldError;
        NoSuchExchange; what says that nobody vouches for the signer.
        """
        if exchange is None:
            made, standing = self.writer.draft(kind, fields, signer, None, now)
            self._require_party(made.header.kind, made.payload, standing)
            return made, standing
        state = self.state(exchange, now)
        made, standing = self.writer.draft(
            kind, fields, signer, state, now, newest=self._newest(exchange, now)
        )
        self.writer.require(made, standing, state.at(made.header.at))
        return made, standing

    def _newest(self, exchange: bytes, now: int) -> int:
        """Return the time that a step of ours may not be before, if it is not far ahead of us."""
        newest = self.newest(exchange)
        return newest if newest <= now + bounds.CLOCK_SLACK_S else 0

    @staticmethod
    def _require_party(kind: str, payload: Mapping[str, Any], standing: Standing) -> None:
        if kind != "opening":
            raise NoSuchExchange("Say which exchange it is a step of.")
        if standing.author not in (payload["requester"], payload["provider"]):
            raise NotAllowed("Who opens an exchange is one of its two parties.", rule="party")

    # --- taking ---------------------------------------------------------------------------------

    def _take(
        self,
        signed: Signed,
        now: int,
        sent_by: bytes = b"",
        *,
        own: bool = False,
        strict: bool = False,
        reader: bytes = b"",
    ) -> Taken:
        """Take in one step. Everything that can refuse it comes before the first change.

        `own`: somebody here signed it, and all concerned are to be told; `strict`: it has to fit
        now; `reader`: whose letter brought it.
        """
        header, payload = signed.header, signed.payload
        if payload is None:
            raise NotAllowed("A step comes with its content.", rule="erased")
        if self.store.has_step(signed.id) and (
            header.kind != "bundle_decision" or self._stands_everywhere(signed)
        ):
            return Taken(signed.id, tuple(self.store.exchanges_of(signed.id)), KNOWN)
        checked = check_stateless(signed, fed=self.setup.fed, now=now, private=True)
        try:
            standing = check_step(checked, self.setup.directory)
        except RemoteError as fault:
            if not fault.pending or strict:
                raise
            return self._wait(signed, now, sent_by, own)
        if header.kind == "funding_request":
            self.funding.requested(signed, standing, reader, now)
            return Taken(signed.id, (), NEW)
        if header.kind not in STEP_KINDS:
            raise NotAllowed(
                "This record is no step of an exchange.", kind=header.kind, rule="step"
            )
        places = exchanges_of(header.kind, signed.id, payload)
        stranger = False
        if header.kind == "opening":
            stranger = self._require_opening(signed, standing, now, own=own)
        here = [place for place in places if place == signed.id or self._known(place)]
        if not here:
            if strict:
                raise NoSuchExchange("There is no such exchange here.")
            return self._wait(signed, now, sent_by, own)
        for place in here:
            if place == signed.id:
                continue
            state = self.state(place, now)
            self._require_room(place, own=own)
            if strict:
                self._require_fits(signed, standing, state.at(header.at))
            else:
                self._require_part(header.kind, standing, state)
        if stranger:
            self.store.put_note(Note(notes.STRANGER, signed.id, signed.id, now, sent_by))
        for place in here:
            self._add(place, signed, standing, now, own=own)
        return Taken(signed.id, tuple(here), NEW)

    def _known(self, exchange: bytes) -> bool:
        return self.store.count_steps(exchange) > 0

    def _stands_everywhere(self, signed: Signed) -> bool:
        places = set(self.store.exchanges_of(signed.id))
        wanted = exchanges_of(signed.header.kind, signed.id, signed.payload or {})
        return all(place in places or not self._known(place) for place in wanted)

    def _require_fits(self, signed: Signed, standing: Standing, state: Exchange) -> None:
        self.writer.require(Draft(signed.header, signed.payload or {}), standing, state)

    def _require_room(self, exchange: bytes, *, own: bool) -> None:
        most = bounds.OWN_STEPS_MAX if own else bounds.STEPS_MAX
        if self.store.count_steps(exchange) >= most:
            raise ExchangesFull(limit=most)

    @staticmethod
    def _require_part(kind: str, standing: Standing, state: Exchange) -> None:
        """Refuse what strangers write into an exchange; what does not fit its parties is void."""
        author = standing.author
        if kind in ("bundle_decision", "funding"):
            return
        parts = {state.requester, state.provider, state.first_provider, state.payer}
        parts |= {state.mediator or b"", *state.participants}
        parts |= {handover.to for handover in state.handovers}
        parts |= {handover.by for handover in state.handovers}
        if author not in parts:
            raise NotConcerned(author=author)

    def _require_opening(self, signed: Signed, standing: Standing, now: int, *, own: bool) -> bool:
        """Refuse what there is no room for; tell whether it concerns nobody here yet."""
        payload = cast("Mapping[str, Any]", signed.payload)
        self._require_party("opening", payload, standing)
        if own and payload.get("payer") == payload["provider"]:
            raise NotAllowed("Who is paid cannot be who pays.", rule="payer")
        if sum(self.store.counts().values()) >= bounds.EXCHANGES_MAX:
            raise ExchangesFull("The node keeps as many exchanges as it can.")
        if own:
            return False
        parties: list[bytes] = [payload["requester"], payload["provider"]]
        readers = [*parties, *payload.get("participants", ())]
        if "bundle" in payload:
            readers.append(coop_author(coop_of(payload["requester"])))
        if any(self.addressing.reads_here(author, now) for author in readers):
            query = Query(
                authors=(standing.author,), phases=("opened",), limit=bounds.OPENINGS_MAX + 1
            )
            if len(self.store.find(query)) > bounds.OPENINGS_MAX:
                raise ExchangesFull("Too many exchanges of this author wait for an answer.")
            return False
        # A mediator, or who takes a service over, gets the whole transcript: what says so stands
        # at its end.
        if self.store.count_notes(notes.STRANGER) >= bounds.STRANGERS_MAX:
            raise NotConcerned()
        return True

    def _wait(self, signed: Signed, now: int, sent_by: bytes, own: bool) -> Taken:
        """Keep a step until what it rests on is known."""
        places = exchanges_of(signed.header.kind, signed.id, signed.payload or {})
        if self.store.count_notes(notes.WAITING) >= bounds.WAITING_MAX:
            raise ExchangesFull("Too many steps wait for others already.")
        # A bundle's decision stands in several transcripts, of which this node may read any one.
        place = places[0] if len(places) == 1 else b""
        self.store.put_note(
            WaitingStep(signed.id, place, now, sent_by, own, signed.encode()).note()
        )
        return Taken(signed.id, places, WAITS)

    # --- what follows ---------------------------------------------------------------------------

    def _add(
        self, exchange: bytes, signed: Signed, standing: Standing, now: int, *, own: bool
    ) -> None:
        row = StepRow(exchange, signed.id, standing.author, standing.role, now, signed.encode())
        self.store.add_step(row)
        self.transcripts.changed(exchange)
        state = self.state(exchange, now)
        kind = signed.header.kind
        self._note_orders(exchange, signed, now)
        if own:
            self.outbox.tell(state, step_from_row(row, signed), signed, now)
        project(self.store, state, now)
        self._tell(state, "opened" if kind == "opening" else "step", kind, now)
        if self.store.note(notes.STRANGER, exchange) is not None and any(
            self.addressing.reads_here(author, now) for author in concerned(state)
        ):
            self.store.drop_note(notes.STRANGER, exchange)
        self.mending.looked_at(state, now)
        if kind == "opening":
            if state.origin is not None:
                self.store.put_note(Note(notes.SUCCESSOR, exchange, state.origin[0], now, b""))
            self._take_waiting(exchange, now)
        self._react(exchange, now)

    def _tell(self, state: Exchange, what: str, kind: str, now: int) -> None:
        authors = tuple(
            author for author in concerned(state) if self.addressing.reads_here(author, now)
        )
        self._effects.append(Happened(state.id, what, kind, state.phase, authors))

    def _note_orders(self, exchange: bytes, signed: Signed, now: int) -> None:
        named = _ORDERS.get(signed.header.kind)
        order = (signed.payload or {}).get(named) if named is not None else None
        if isinstance(order, bytes):
            notes.name_order(self.store, order, exchange, now)
            self.settling.order_told(exchange, order, signed.id)

    def _take_waiting(self, exchange: bytes, now: int) -> None:
        """Take in the steps that waited for the opening of an exchange, or for one another."""
        for note in self.store.notes(notes.WAITING, exchange=exchange):
            self._again(notes.waiting_step(note), now)
        several = [note for note in self.store.notes(notes.WAITING) if not note.exchange]
        for waiting in map(notes.waiting_step, several):
            signed = decode_record(waiting.record)
            if exchange in exchanges_of(signed.header.kind, signed.id, signed.payload or {}):
                self._again(waiting, now)

    def _again(self, waiting: WaitingStep, now: int) -> None:
        """Try a step once more. What is refused for good does not wait any longer."""
        self.store.drop_note(notes.WAITING, waiting.id)
        try:
            signed = decode_record(waiting.record)
            taken = self._take(signed, now, waiting.sent_by, own=waiting.own)
        except MaillonError as fault:
            if of_store(fault):
                raise
            return
        if taken.outcome == WAITS:
            # It keeps its age.
            self.store.put_note(waiting.note())

    def _react(self, exchange: bytes, now: int) -> None:
        """Let follow what follows from the state of an exchange, until nothing more does."""
        if self._depth >= bounds.REACTIONS_MAX:
            return
        self._depth += 1
        try:
            state = self.state(exchange, now)
            for (kind, fields), signer in list(self.settling.steps(state, now)):
                if self._follow(kind, fields, signer, exchange, now):
                    # What follows from that step has followed already.
                    return
            self._effects.extend(self.settling.order(state, now))
            self._effects.extend(self.settling.release(state, now))
            decision = self.bundling.decide(state, now)
            if decision is not None:
                self._decided(decision, now)
            if state.payer != state.requester:
                for request in self.funding.requests(state, self.settling.known(state)):
                    self._ask_payer(state, request, now)
        finally:
            self._depth -= 1

    def _follow(
        self, kind: str, fields: Mapping[str, Any], signer: Signer, exchange: bytes, now: int
    ) -> bool:
        """Take a step that follows by itself, signed with a key held here; False when refused."""
        secret = self.setup.keys.held(signer.key)
        if secret is None:
            return False
        try:
            made, _ = self.draft(kind, fields, signer, exchange, now)
            self._take(sign(made, secret), now, own=True, strict=True)
        except MaillonError as fault:
            if of_store(fault):
                raise
            self._effects.append(Fault(exchange, f"{kind}: {fault}"))
            return False
        return True

    def _decided(self, decision: Decision, now: int) -> None:
        """Write the one decision about a bundle into all its transcripts at once."""
        node = self.setup.keys.node
        made, _ = self.writer.draft(
            "bundle_decision",
            decision.payload(),
            Signer(node.public, self.setup.coop),
            None,
            now,
            refs=decision.agreements,
        )
        signed = sign(made, node)
        self.bundling.decided(decision.exchanges, signed.id, now)
        self._take(signed, now, own=True)

    def _ask_payer(self, state: Exchange, fields: Mapping[str, Any], now: int) -> None:
        here = self.addressing.is_here(state.payer)
        if not here and not any(self.addressing.of(state.payer, now)):
            # A payer whose keys are not known here yet is asked when they are.
            key = state.id + state.payer
            self.store.put_note(Note(notes.UNREACHED, key, state.id, now, state.payer))
            return
        signer = self.settling.signer_for(state.requester)
        secret = None if signer is None else self.setup.keys.held(signer.key)
        if signer is None or secret is None:
            # Her key is on a device: the node of her coop asks in its own name.
            secret = self.setup.keys.node
            signer = Signer(secret.public, self.setup.coop)
        try:
            made, standing = self.writer.draft("funding_request", fields, signer, state, now)
        except MaillonError as fault:
            # Whoever took a step is not refused because of what would have followed from it.
            self._effects.append(Fault(state.id, f"funding_request: {fault}"))
            return
        signed = sign(made, secret)
        self.funding.asked(state, fields, signed.id, now)
        if here:
            self.funding.requested(signed, standing, state.payer, now)
        self.outbox.send_to((state.payer,), state.id, (signed,), standing.author, now)

    # --- transactions ---------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Make a batch of the store; what is undone there is forgotten here as well."""
        before = list(self._effects)
        try:
            with self.store.batch():
                yield
        except BaseException:
            self._effects = before
            self._depth = 0
            self.transcripts.changed()
            raise

    def _flush(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        if self.store.notes(notes.OUT, limit=1):
            effects.append(Post())
        return list(dict.fromkeys(effects))


_ORDERS: Final = {
    "payment": "transfer",
    "hold": "order",
    "agreement": "hold",
    "funding": "order",
}
"""Kinds whose steps name an order, and in which field."""


def of_store(fault: MaillonError) -> bool:
    """Tell whether the disk refused, which undoes everything, and not a rule."""
    return fault.code.startswith(("store", "disk"))
