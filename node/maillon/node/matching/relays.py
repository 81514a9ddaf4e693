"""Hand demands to a relay outside of opening hours, and see to those handed here (spec/08).

A request is durable before it is sent, and goes out by the post like any letter. What is not
answered by its deadline is shown to the people of the desk, who can still act; the figures say how
each relay kept to the time agreed, with both signed records as proof.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from maillon.node.i18n import _
from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.storage import (
    ASKED,
    IN,
    MISSED,
    OUT,
    REFUSED,
    TAKEN,
    MatchingDisk,
    RelayRow,
)
from maillon.node.post.ports import Sending
from maillon.node.search.candidates import header_of
from maillon.node.search.matching import Candidate
from maillon.node.search.timefit import open_at
from maillon.protocol.envelope import Signed, decode_record, draft, sign
from maillon.protocol.errors import LocalError, MaillonError, NotAllowed, RemoteError
from maillon.protocol.letters import ITEM_STEP, Item
from maillon.protocol.limits import RELAY_SLACK_S
from maillon.protocol.records import DAY_S, build
from maillon.protocol.records.kind import derived_series, random_series
from maillon.protocol.relays import check_answer, check_request, in_time
from maillon.protocol.validation import check_stateless, check_step, longest_until
from maillon.protocol.view import coop_author

log = logging.getLogger("maillon.matching")

KINDS: Final = frozenset({"relay_request", "relay_ack"})
TICKET: Final = b"relay"
AFTER_S: Final = 7 * DAY_S
"""A letter is tried so long after the deadline: a late answer is still worth knowing."""


class NoRelay(LocalError):
    """Nobody sees to this demand outside of opening hours."""

    code = "not_found"


class NoSuchRequest(LocalError):
    """There is no such request."""

    code = "not_found"


class Answered(LocalError):
    """The request was answered already."""

    code = "answered"


class Relaying:
    """The requests to relays, and to this coop as one."""

    def __init__(self, host: Host, disk: MatchingDisk) -> None:
        self._host = host
        self._disk = disk
        self.letters_refused = 0

    # --- asking ---------------------------------------------------------------------------------

    def relay_of(self, author: bytes) -> tuple[bytes, Mapping[str, Any]] | None:
        """Return the relay record that speaks for an author: its own, else its coop's."""
        store = self._host.store
        for who in dict.fromkeys((author, coop_author(self._host.coop))):
            head = store.head(who, derived_series("relay", b""))
            if head is None or head.kind != "relay" or head.until < self._host.time():
                continue
            signed = store.get(head.id) if store.live(head.id) else None
            if signed is not None and signed.payload is not None:
                return who, signed.payload
        return None

    def published(self, demand: Candidate) -> None:
        """Be told of a new demand of this coop: it goes to the relay if the desk is closed."""
        now = self._host.time()
        if not 0 <= now - demand.at <= bounds.RELAYED_AGE_S or header_of(demand).rev:
            return
        found = self.relay_of(demand.author)
        if found is None or open_at(found[1]["hours"], found[1]["tz"], now):
            return
        if found[1]["relay"] == self._host.coop or self._handed(demand.id):
            return
        self._ask(demand.id, found[0], found[1], "")

    def opened(
        self, opening: bytes, provider: bytes, at: int, title: str, requester: bytes
    ) -> None:
        """Be told of an opening that reached somebody here: it goes to the relay of a closed desk.

        Only where a relay record speaks for the provider itself, as for an organisation or for the
        coop: what is written to a person with none is told to nobody.
        """
        now = self._host.time()
        if not 0 <= now - at <= bounds.RELAYED_AGE_S:
            return
        found = self.relay_of(provider)
        if found is None or found[0] != provider or self._handed(opening):
            return
        if found[1]["relay"] == self._host.coop or open_at(found[1]["hours"], found[1]["tz"], now):
            return
        # The relay cannot read the opening: it is told what it is about and whose desk to call.
        said = _("{title} (for {coop})").format(title=title, coop=self._host.coop_name(requester))
        self._ask(opening, provider, found[1], said)

    def _handed(self, demand: bytes) -> bool:
        return bool(self._disk.relays(way=OUT, demand=demand, limit=1))

    def ask(self, demand: Signed, author: bytes, text: str) -> RelayRow:
        """Hand a demand over now. Raises: NoRelay, Answered."""
        found = self.relay_of(author)
        if found is None or found[1]["relay"] == self._host.coop:
            raise NoRelay(
                _("No relay of another coop is named for this demand."),
                hint=_("Publish a record of the kind relay first."),
            )
        if self._handed(demand.id):
            raise Answered(_("This demand was handed over already."))
        return self._ask(demand.id, found[0], found[1], text)

    def _ask(
        self, demand: bytes, author: bytes, relay: Mapping[str, Any], text: str
    ) -> RelayRow:
        now = self._host.time()
        fields: dict[str, Any] = {"demand": demand, "deadline": now + int(relay["ack_within_s"])}
        request = self._signed("relay_request", fields, text, fields["deadline"])
        row = RelayRow(
            request.id, OUT, relay["relay"], author, demand, now, fields["deadline"], ASKED,
            None, False, request.encode(), b"", False,
        )  # fmt: skip
        self._disk.add_relay(row)
        self._post(row)
        return row

    def _signed(self, kind: str, fields: dict[str, Any], text: str, needed: int) -> Signed:
        host = self._host
        if text:
            fields |= {"text": text, "lang": host.language}
        now, key = host.time(), host.node_key
        longest = longest_until(kind, host.view, coop=host.coop, by=key.public, at=now)
        made = draft(
            kind,
            build(kind, salt=host.random(16), **fields),
            fed=host.founding.fed,
            coop=host.coop,
            by=key.public,
            at=now,
            until=min(longest, needed + AFTER_S),
            series=random_series(kind, host.random(16)),
        )
        return sign(made, key)

    def _post(self, row: RelayRow) -> None:
        """Hand a request or an answer to the post; what is not taken in is tried again."""
        profile = self._host.view.profile(row.coop)
        fields: Any = {} if profile is None else profile.signed.payload
        sealing = fields.get("sealing")
        if not isinstance(sealing, bytes):
            self._host.fault("relay", "the other coop takes no letters yet")
            return
        data = row.request if row.way == OUT else row.answer
        sending = Sending(
            to_coop=row.coop,
            to_key=sealing,
            exchange=row.id,
            items=(Item(ITEM_STEP, data),),
            until=max(row.deadline, self._host.time()) + AFTER_S,
            owner=coop_author(self._host.coop),
            ticket=TICKET + row.way[:1].encode() + row.id,
        )
        try:
            self._host.send([sending])
        except LocalError as fault:
            self._host.fault("relay", str(fault))
            return
        self._disk.sent(row.id)

    # --- answering ------------------------------------------------------------------------------

    def find(self, id: str) -> RelayRow:
        """Return the request whose id begins so. Raises: NoSuchRequest."""
        try:
            low, high = bytes.fromhex(id.ljust(64, "0")), bytes.fromhex(id.ljust(64, "f"))
        except ValueError:
            low, high = b"\1", b"\0"
        found = self._disk.relays_beginning(low, high)
        row = self._disk.relay(found[0]) if len(found) == 1 else None
        if row is None:
            raise NoSuchRequest(_("There is no request {id}.").format(id=id[:16]))
        return row

    def answer(self, row: RelayRow, *, taken: bool, text: str) -> RelayRow:
        """Say whether this coop sees to a demand. Raises: Answered."""
        if row.way != IN or row.status not in (ASKED, MISSED):
            raise Answered(_("This request was answered already."))
        now = self._host.time()
        fields: dict[str, Any] = {"request": row.id, "demand": row.demand, "taken": taken}
        signed = self._signed("relay_ack", fields, text, max(row.deadline, now))
        self._disk.answered(
            row.id, TAKEN if taken else REFUSED, now, signed.encode(),
            late=now > row.deadline, sent=False,
        )  # fmt: skip
        done = self._disk.relay(row.id)
        assert done is not None, "it was read a moment ago"
        self._post(done)
        return done

    # --- letters --------------------------------------------------------------------------------

    def take_out(
        self, from_coop: bytes, items: Sequence[Item]
    ) -> list[Item]:
        """Take in what of a letter is for relays; return the rest."""
        rest: list[Item] = []
        for item in items:
            signed = _relay_record(item)
            if signed is None:
                rest.append(item)
                continue
            try:
                self._receive(signed, from_coop)
            except RemoteError as fault:
                self.letters_refused += 1
                log.info("a letter about a relay is not taken in: %s", fault.code)
        return rest

    def _receive(self, signed: Signed, from_coop: bytes) -> None:
        now = self._host.time()
        checked = check_stateless(signed, fed=self._host.founding.fed, now=now, private=True)
        standing = check_step(checked, self._host.view)
        fields: Any = signed.payload
        if standing.author != coop_author(from_coop):
            raise NotAllowed("A relay is asked and answers in its own name.", rule="relay")
        if signed.header.kind == "relay_request":
            self._asked(signed, fields, from_coop)
        else:
            self._acknowledged(signed, fields, from_coop, now)

    def _asked(self, signed: Signed, fields: Any, from_coop: bytes) -> None:
        if self._disk.relay(signed.id) is not None:
            return
        check_request(signed, from_coop)
        if (
            self._disk.count_relays(IN, from_coop, open_only=True)
            >= bounds.RELAYS_OPEN_PER_COOP_MAX
            or self._disk.count_relays() >= bounds.RELAYS_MAX
        ):
            raise NotAllowed("Too many requests of this coop wait for an answer.", rule="quota")
        row = RelayRow(
            signed.id, IN, from_coop, coop_author(from_coop), fields["demand"], signed.header.at,
            fields["deadline"], ASKED, None, False, signed.encode(), b"", True,
        )  # fmt: skip
        self._disk.add_relay(row)
        self._tell("relay_asked", row)

    def _acknowledged(self, signed: Signed, fields: Any, from_coop: bytes, now: int) -> None:
        row = self._disk.relay(fields["request"])
        if row is None or row.way != OUT:
            raise NotAllowed("Nobody asked for this answer.", rule="request")
        request = decode_record(row.request)
        check_answer(signed, request, row.coop, from_coop)
        if row.status not in (ASKED, MISSED):
            return
        # When it came here counts: whoever answers could write any time into the answer.
        late = not in_time(request, now)
        status = TAKEN if fields["taken"] else REFUSED
        self._disk.answered(row.id, status, now, signed.encode(), late=late, sent=True)
        self._tell("relay_taken" if fields["taken"] else "relay_refused", row)

    def ended(self, ticket: bytes, code: str) -> bool:
        """Be told that a letter was given up; tell whether it was one of these."""
        if not ticket.startswith(TICKET):
            return False
        self._host.fault("relay", code)
        return True

    # --- deadlines ------------------------------------------------------------------------------

    def tick(self) -> None:
        """Send what was not sent, and tell the desk of what nobody answered."""
        for row in self._disk.unsent(16):
            self._post(row)
        now = self._host.time()
        for row in self._disk.overdue(now - RELAY_SLACK_S, 64):
            self._disk.answered(row.id, MISSED, None, b"", late=True, sent=row.sent)
            self._tell("relay_missed", row)

    def _tell(self, kind: str, row: RelayRow) -> None:
        facts = {"id": row.id, "demand": row.demand, "coop": row.coop, "deadline": row.deadline}
        self._host.happened(None, kind, {**facts, "way": row.way})

    def agreed(self, coop: bytes) -> bool:
        """Tell whether somebody of a coop names this one as relay in a live record."""
        for valid in self._host.store.by_kinds(("relay",)):
            fields: Any = valid.signed.payload
            if valid.signed.header.coop == coop and fields["relay"] == self._host.coop:
                return True
        return False


def _relay_record(item: Item) -> Signed | None:
    """Return the record of an item if it is about relays; what cannot be read is not ours."""
    if item.kind != ITEM_STEP:
        return None
    try:
        signed = decode_record(item.data)
    except MaillonError:
        return None
    return signed if signed.header.kind in KINDS and signed.payload is not None else None
