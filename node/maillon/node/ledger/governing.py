"""Show the charter, and make proposals to change it out of what people write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from maillon.ledger.block import Block, Placed
from maillon.ledger.charter_entries import (
    AddUnit,
    Admit,
    CharterEntry,
    Clear,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
)
from maillon.ledger.charter_proposals import Gathered
from maillon.ledger.charter_rules import explain_quorum, heads_root, next_state
from maillon.ledger.errors import LedgerError
from maillon.node.api import charter_shapes
from maillon.node.i18n import _
from maillon.node.ledger.asking import Asking, AskingError, bytes_of
from maillon.node.ledger.host import Host
from maillon.node.ledger.runner import LedgerRunner
from maillon.node.ledger.showing import Showing
from maillon.node.naming import AmbiguousCoop, NoSuchCoop, find_coop
from maillon.node.quorumwords import consequences, quorum_words
from maillon.protocol.cards import card_from_text
from maillon.protocol.founding import Unit

PREFIX_CHARACTERS_MIN = 6


class BadProposal(AskingError):
    """A proposal is not written as it must be."""

    code = "proposal"


class Governing:
    """What `/v1/charter` answers."""

    def __init__(self, host: Host, runner: LedgerRunner, showing: Showing) -> None:
        self._host = host
        self._runner = runner
        self._showing = showing

    # --- showing --------------------------------------------------------------------------------

    def show(self) -> charter_shapes.CharterOut:
        """Return the present charter."""
        book = self._runner.machine.book
        charter = book.charter.latest
        head = book.head(book.fed)
        committee = charter.committee()
        return charter_shapes.CharterOut(
            enabled=True,
            height=charter.height,
            hash=head.hash.hex(),
            time=head.time,
            quorum=charter.quorum,
            approvals=charter.approvals,
            recovery_s=charter.recovery_s,
            accounts_max=charter.accounts_max,
            units=[
                {
                    "unit": place,
                    "code": u.code,
                    "kind": u.kind,
                    "decimals": u.decimals,
                    "label": u.label,
                }
                for place, u in enumerate(charter.units)
            ],
            coops=[
                charter_shapes.CharterCoopOut(
                    coop=coop.id.hex(),
                    name=coop.name,
                    node_key=coop.node_key.hex(),
                    writer=coop.writer.hex(),
                    witness=coop.witness.hex(),
                    limits=[
                        self._showing.balance(unit, limit)
                        for unit, limit in sorted(coop.limits.items())
                    ],
                    accounts_max=coop.accounts_max,
                    entered=coop.entered,
                    trustee=(coop.trustee or b"").hex(),
                    removed=coop.removed,
                )
                for coop in charter.coops.values()
            ],
            retired_below=charter.retired_below,
            sentences=quorum_words(explain_quorum(committee.n, committee.quorum)),
            ended=self._ended(),
        )

    def _ended(self) -> list[charter_shapes.EndedOut]:
        """Return how the last proposals ended."""
        chain = self._runner.machine.book.charter
        ended = chain.ended()
        titles = {one.gathered.proposal.hash: one.gathered.proposal.title for one in ended}
        return [
            charter_shapes.EndedOut(
                proposal=one.gathered.proposal.hash.hex(),
                title=one.gathered.proposal.title,
                entries=[self._words(entry) for entry in one.gathered.proposal.read()],
                approvals=len(one.gathered.approvals),
                needed=one.gathered.needed,
                status="certified" if one.made else "outdated",
                height=one.h,
                time=chain.block(one.h).header.time,
                by=one.by.hex(),
                by_title=titles.get(one.by, ""),
            )
            for one in ended
        ]

    def proposals(self) -> charter_shapes.Proposals:
        """Return the open proposals."""
        charter = self._runner.machine.book.charter
        return charter_shapes.Proposals([self._shown(one, "open") for one in charter.proposals()])

    def _shown(self, gathered: Gathered, status: str) -> charter_shapes.ProposalOut:
        charter = self._runner.machine.book.charter.latest
        names = {coop.id: coop.name for coop in charter.coops.values()}
        coops = [approval.coop for approval in gathered.approvals]
        return charter_shapes.ProposalOut(
            proposal=gathered.proposal.hash.hex(),
            title=gathered.proposal.title,
            height=gathered.proposal.base + 1,
            entries=[self._words(entry) for entry in gathered.proposal.read()],
            approvals=[
                charter_shapes.ApprovalOut(coop.hex(), names.get(coop, coop.hex()[:8]))  # type: ignore[call-overload]  # ids are bytes
                for coop in coops
            ],
            needed=gathered.needed,
            approved_here=self._host.coop in coops,
            status=status,
            consequences=self._consequences(gathered),
        )

    def _consequences(self, gathered: Gathered) -> list[str]:
        """Return what the witnesses withstand after a change, when it changes who they are."""
        charter = self._runner.machine.book.charter.latest
        if gathered.proposal.base != charter.height:
            return []
        try:
            committee = next_state(charter, gathered.proposal.read()).committee()
        except LedgerError:
            return []  # what is wrong with it is told when it is approved
        now = charter.committee()
        if (committee.n, committee.quorum) == (now.n, now.quorum):
            return []
        return consequences(explain_quorum(committee.n, committee.quorum))

    def _name(self, coop: bytes) -> str:
        return self._showing.coop_name(coop)

    def _words(self, entry: CharterEntry) -> str:
        match entry:
            case Admit(name=name):
                told = (
                    _("{name} joins the accounts, with a witness.")
                    if entry.witness
                    else _("{name} joins the accounts, without a witness.")
                ).format(name=name)
                limits = [self._showing.text(unit, limit) for unit, limit in entry.limits if limit]
                return " ".join(
                    (
                        told,
                        _("It may owe the others {amounts} at most.").format(
                            amounts=", ".join(limits)
                        )
                        if limits
                        else _("It may owe the others nothing: it gives first."),
                        _("It may have {n} accounts.").format(n=entry.accounts_max),
                    )
                )
            case Remove(coop, trustee):
                return _("{name} leaves the accounts; {trustee} looks after its chain.").format(
                    name=self._name(coop), trustee=self._name(trustee)
                )
            case SetKey(coop, role, key):
                role_words = _("witness") if role == "witness" else _("writer")
                if not key:
                    return _("{name} has no {role} any more.").format(
                        name=self._name(coop), role=role_words
                    )
                return _("{name} gets another {role} key: {key}.").format(
                    name=self._name(coop), role=role_words, key=key.hex()[:16]
                )
            case SetLimit(coop, unit, limit):
                return _("{name} may owe the others {amount} at most.").format(
                    name=self._name(coop), amount=self._showing.text(unit, limit)
                )
            case SetTrustee(coop, trustee):
                if not trustee:
                    return _("Nobody looks after the chain of {name} any more.").format(
                        name=self._name(coop)
                    )
                return _("{trustee} looks after the chain of {name}.").format(
                    trustee=self._name(trustee), name=self._name(coop)
                )
            case SetQuorum(quorum):
                return _("{n} witnesses certify a block.").format(n=quorum)
            case AddUnit(unit):
                return _("There is one more unit: {label} ({code}).").format(
                    label=unit.label, code=unit.code
                )
            case Retire(below=below):
                return _("Certificates from before charter {c} count only up to now.").format(
                    c=below
                )
            case Clear(chain, fraud):
                return _("{name} may go on after the fraud {hash}.").format(
                    name=self._name(chain), hash=fraud.hex()[:16]
                )
            case SetRule(name, value):
                return _("The rule {name} becomes {value}.").format(name=name, value=value)
            case _:
                return _("The federation is founded anew from fixed heads.")

    # --- proposing ------------------------------------------------------------------------------

    async def propose(self, request: charter_shapes.ProposalRequest) -> charter_shapes.ProposalOut:
        """Propose a change and approve it for this coop."""
        machine = self._runner.machine
        if machine.writer_key not in machine.book.charter.latest.writers(self._host.coop):
            raise BadProposal(_("Only coops that the charter names can change it."))
        entries = [self._entry(words) for words in request.entries]
        gathered = machine.changes.propose(entries, request.title)
        await self._runner.stored()
        return self._after(gathered)

    async def approve(self, text: str) -> charter_shapes.ProposalOut:
        """Approve an open proposal for this coop."""
        machine = self._runner.machine
        known = [one.proposal.hash for one in machine.book.charter.proposals()]
        fits = [hash for hash in known if hash.hex().startswith(text.lower())]
        if len(fits) != 1 or len(text) < PREFIX_CHARACTERS_MIN:
            raise BadProposal(
                _("No open proposal begins with {id}.").format(id=text[:16]),
                hint=_("See them with: maillon charter proposals"),
            )
        gathered = machine.changes.approve(fits[0])
        await self._runner.stored()
        return self._after(gathered)

    def _after(self, before: Gathered) -> charter_shapes.ProposalOut:
        """Return a proposal as it stands now: a lone coop's is certified at once."""
        charter = self._runner.machine.book.charter
        gathered = charter.proposal(before.proposal.hash)
        if gathered is not None:
            return self._shown(gathered, "open")
        h = before.proposal.base + 1
        made = charter.height >= h and _entries_of(charter.block(h)) == before.proposal.entries
        return self._shown(before, "certified" if made else "outdated")

    def _entry(self, words: Mapping[str, Any]) -> CharterEntry:
        """Return what an entry says. Raises: BadProposal naming the field."""
        name = words.get("entry")
        reader = self._readers().get(name) if isinstance(name, str) else None
        if reader is None:
            raise BadProposal(
                _("There is no entry {name}.").format(name=str(name)[:20]),
                hint=_("There are: {names}.").format(names=", ".join(self._readers())),
            )
        return reader(words)

    def _readers(self) -> dict[str, Callable[[Mapping[str, Any]], CharterEntry]]:
        return {
            "admit": self._admit,
            "remove": lambda w: Remove(self._coop(w, "coop"), self._coop(w, "trustee")),
            "key": self._key,
            "limit": self._limit,
            "trustee": lambda w: SetTrustee(
                self._coop(w, "coop"), self._coop(w, "trustee") if w.get("trustee") else None
            ),
            "quorum": lambda w: SetQuorum(_number(w, "quorum")),
            "unit": lambda w: AddUnit(
                Unit(_text(w, "code"), _text(w, "kind"), _number(w, "decimals"), _text(w, "label"))
            ),
            "clear": lambda w: Clear(self._coop(w, "chain"), _hex(w, "fraud")),
            "rule": lambda w: SetRule(_text(w, "name"), _number(w, "value")),
            "retire": self._retire,
        }

    def _coop(self, words: Mapping[str, Any], field: str) -> bytes:
        text = _text(words, field)
        coops = self._runner.machine.book.charter.latest.coops.values()
        try:
            return find_coop(text, [(coop.id, coop.name) for coop in coops])
        except (NoSuchCoop, AmbiguousCoop) as fault:
            told = _("The field {field} names no coop of the charter: {reason}").format(
                field=field, reason=fault
            )
            raise BadProposal(told, field=field, **fault.facts) from None

    def _amount(self, unit: int, value: object, field: str) -> int:
        if type(value) is int:
            return value
        if not isinstance(value, str):
            raise BadProposal(_("The field {field} is no amount.").format(field=field), field=field)
        return Asking(self._host, self._runner.machine).units.parse(unit, value)

    def _unit(self, words: Mapping[str, Any]) -> int:
        code = words.get("unit")
        asking = Asking(self._host, self._runner.machine)
        return asking.unit(code if isinstance(code, str) else None)

    def _admit(self, words: Mapping[str, Any]) -> Admit:
        card = card_from_text(_text(words, "card"))
        if not card.writer:
            raise BadProposal(
                _("The card of {name} has no keys for accounts.").format(name=card.name),
                hint=_("They make a new one with: maillon federation card"),
            )
        charter = self._runner.machine.book.charter.latest
        limits: dict[int, int] = {}
        given: Any = words.get("limits", [])
        for item in cast("Sequence[Any]", given) if isinstance(given, list) else ():
            if not isinstance(item, dict):
                raise BadProposal(_("The field limits is a list of maps."), field="limits")
            limit = cast("dict[str, Any]", item)
            unit = self._unit(limit)
            limits[unit] = self._amount(unit, limit.get("limit"), "limits")
        most = words.get("accounts_max", charter.accounts_max)
        if type(most) is not int:
            raise BadProposal(_("The field accounts_max is no number."), field="accounts_max")
        return Admit(
            card.root,
            card.node_key,
            card.writer,
            card.witness,
            card.name,
            tuple(sorted(limits.items())),
            most,
        )

    def _key(self, words: Mapping[str, Any]) -> SetKey:
        role = _text(words, "role")
        if role not in ("writer", "witness"):
            raise BadProposal(_("The role is writer or witness."), field="role")
        key = _hex(words, "key") if words.get("key") else b""
        return SetKey(self._coop(words, "coop"), role, key)

    def _limit(self, words: Mapping[str, Any]) -> SetLimit:
        unit = self._unit(words)
        limit = self._amount(unit, words.get("limit"), "limit")
        return SetLimit(self._coop(words, "coop"), unit, limit)

    def _retire(self, words: Mapping[str, Any]) -> Retire:
        book = self._runner.machine.book
        below = words.get("below", book.charter.height)
        if type(below) is not int:
            raise BadProposal(_("The field below is no number."), field="below")
        heads = tuple(
            (bytes(chain), book.head(chain).h, book.head(chain).hash)
            for chain in sorted(book.chains())
        )
        return Retire(below, heads_root(heads), heads)


def _entries_of(block: Block) -> tuple[bytes, ...]:
    return tuple(entry.data for entry in block.body.entries if isinstance(entry, Placed))


def _text(words: Mapping[str, Any], field: str) -> str:
    value = words.get(field)
    if not isinstance(value, str):
        raise BadProposal(_("The field {field} is missing.").format(field=field), field=field)
    return value


def _number(words: Mapping[str, Any], field: str) -> int:
    value = words.get(field)
    if type(value) is not int:
        raise BadProposal(
            _("The field {field} is missing, or no number.").format(field=field), field=field
        )
    return value


def _hex(words: Mapping[str, Any], field: str) -> bytes:
    data = bytes_of(_text(words, field))
    if data is None:
        raise BadProposal(
            _("The field {field} is not hexadecimal.").format(field=field), field=field
        )
    return data
