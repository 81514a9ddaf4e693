"""Found a federation from the command line: cards, proposals, signatures, the installed file.

None of it needs a running node; all of it needs the coop's root key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maillon.ledger.charter_rules import explain_quorum
from maillon.ledger.quorum import default_quorum
from maillon.ledger.units import UnitTable
from maillon.node import clock, keyring
from maillon.node.config import Config, load_config
from maillon.node.home import AlreadyExists, Home, HomeError, write_atomic
from maillon.node.i18n import _
from maillon.node.net.identity import parse_address
from maillon.node.net.interfaces import expand
from maillon.node.quorumwords import quorum_data, quorum_words
from maillon.node.run.ledgerkeys import ensure_ledger_keys
from maillon.protocol.errors import LocalError
from maillon.protocol.founding import (
    USUAL_CRITERIA,
    CoopCard,
    Criterion,
    Founding,
    FoundingCoop,
    FoundingFile,
    LedgerTerms,
    Unit,
    card_from_text,
    decode_founding_file,
    make_card,
)
from maillon.protocol.founding import found as check_founding
from maillon.protocol.keys import coop_id
from maillon.protocol.limits import ADDRESSES_MAX, FOUNDING_FILE_BYTES_MAX, WITNESSES_MAX
from maillon.protocol.words import derive

UNIT_KINDS = ("hours", "credit", "count")


class FoundingError(LocalError):
    """The founding document cannot be made, signed or installed as asked."""

    code = "founding"


@dataclass(frozen=True, slots=True)
class Terms:
    """What the founders agree on about the accounts; what is left out takes the usual value.

    `quorum` is of witnesses; `limits` maps a unit's code to what each coop may owe the others
    together, as text in that unit.
    """

    quorum: int | None = None
    approvals: int | None = None
    recovery_days: int = 7
    accounts_max: int = 10_000
    limits: Mapping[str, str] = field(default_factory=dict[str, str])


# What a coop may owe the others when the founders say nothing: a hundred hours, a thousand credits.
USUAL_LIMIT = {"hours": 100 * 60, "credit": 1_000}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A founding document with the signatures gathered so far."""

    file: FoundingFile

    @property
    def complete(self) -> bool:
        return not self.file.missing

    @property
    def fed(self) -> bytes:
        return self.file.founding.fed

    def encode(self) -> bytes:
        return self.file.encode()


def config_addresses(config: Config) -> list[str]:
    """Return the addresses a node will have by its settings, before it runs.

    An address whose port the system chooses (port 0) is not known before and is left out.
    """
    if config.network.announce:
        return list(config.network.announce)[:ADDRESSES_MAX]
    wanted = [parse_address(text) for text in config.network.listen]
    found = [address.without_peer() for address in expand(wanted) if address.port]
    return list(dict.fromkeys(found))[:ADDRESSES_MAX]


def make_own_card(home: Home, password: bytes) -> CoopCard:
    """Return the card of this home's coop. Raises: KeyMissing without the root key."""
    config = load_config(home)
    root = keyring.open_root(home, password)
    node = keyring.open_node(home, password)
    keys = ensure_ledger_keys(home, password)
    return make_card(
        root,
        node.public,
        config.coop.name,
        config_addresses(config),
        writer=keys.writer.public,
        witness=keys.witness.public,
    )


def own_card(home: Home, password: bytes) -> tuple[str, list[str]]:
    """Return the text of the own card and the addresses it names."""
    card = make_own_card(home, password)
    return card.to_text(), list(card.addresses)


def parse_unit(text: str) -> Unit:
    """Read `heure:hours:Heure`. Raises: FoundingError."""
    code, _colon, rest = text.partition(":")
    kind, _colon, label = rest.partition(":")
    if kind not in UNIT_KINDS or not code:
        raise FoundingError(
            _("The unit {text!r} is not of the form CODE:KIND:LABEL.").format(text=text),
            hint=_("For example heure:hours:Heure; the kinds are hours, credit, count."),
        )
    # Hours are counted in whole minutes, credits in hundredths, counts in ones.
    return Unit(code, kind, 2 if kind == "credit" else 0, label or code)


def parse_criterion(text: str, language: str) -> Criterion:
    """Read `kindness:Was it kind?`, or one of the usual by its code. Raises: FoundingError."""
    code, colon, label = text.partition(":")
    usual = [criterion for criterion in USUAL_CRITERIA if criterion.code == code]
    if usual and not label:
        return usual[0]
    if not code or not colon or not label.strip():
        raise FoundingError(
            _("The criterion {text!r} is not of the form CODE:QUESTION.").format(text=text[:80]),
            hint=_("For example kindness:Was it kind?; or one of: {names}.").format(
                names=", ".join(criterion.code for criterion in USUAL_CRITERIA)
            ),
        )
    return Criterion(code, {language: label.strip()})


def propose(
    home: Home,
    password: bytes,
    *,
    name: str,
    cards: Sequence[str],
    quorum: int | None,
    units: Sequence[str],
    languages: Sequence[str],
    criteria: Sequence[str] = (),
    terms: Terms | None = Terms(),
) -> Proposal:
    """Make a founding document of the own coop and the coops of the cards, signed by the own.

    The quorum that admits a newcomer is by default more than half of the founders. With `terms`
    None the federation keeps no accounts. Raises: TextDamaged for a card, SchemaError naming a
    field, FoundingError.
    """
    if home.founding.exists():
        raise AlreadyExists(
            _("This node belongs to a federation already; nothing was changed."),
            hint=_("Show it with: maillon federation show"),
        )
    own = make_own_card(home, password)
    coops = {own.root: own.founding_coop()}
    for text in cards:
        card = card_from_text(text)
        coops.setdefault(card.root, card.founding_coop())
    needed = len(coops) // 2 + 1 if quorum is None else quorum
    if needed > len(coops):
        raise FoundingError(
            _("{n} founders cannot be needed: there are {m}.").format(n=needed, m=len(coops)),
            hint=_("Choose a smaller --quorum."),
        )
    known = tuple(parse_unit(unit) for unit in units) or (Unit("heure", "hours", 0, "Heure"),)
    founding = check_founding(
        Founding(
            name=name,
            salt=os.urandom(16),
            created=clock.now(),
            coops=tuple(coops.values()),
            admission_quorum=needed,
            units=known,
            criteria=tuple(parse_criterion(text, (*languages, "fr")[0]) for text in criteria),
            languages=tuple(languages),
            ledger=None if terms is None else ledger_terms(terms, tuple(coops.values()), known),
        )
    )
    file = FoundingFile.unsigned(founding).sign(keyring.open_root(home, password))
    return Proposal(file)


def ledger_terms(terms: Terms, coops: Sequence[FoundingCoop], units: Sequence[Unit]) -> LedgerTerms:
    """Return the terms as they stand in the document.

    Raises: FoundingError when a coop's card has no key for accounts, or the quorum cannot be;
    UnitUnknown, AmountText.
    """
    for coop in coops:
        if not coop.writer:
            raise FoundingError(
                _("The card of {name} has no keys for accounts.").format(name=coop.name),
                hint=_(
                    "They make a new card with this version (maillon federation card), or you "
                    "found the federation without accounts."
                ),
            )
    witnesses = sum(bool(coop.witness) for coop in coops)
    if not 1 <= witnesses <= WITNESSES_MAX:
        raise FoundingError(
            _("Accounts are kept by 1 to {max} nodes; the cards name {n}.").format(
                max=WITNESSES_MAX, n=witnesses
            )
        )
    facts = explain_quorum(witnesses, terms.quorum or default_quorum(witnesses))
    if not facts.possible:
        raise FoundingError(
            " ".join(quorum_words(facts)),
            hint=_("Choose --witness-quorum from {low} to {high}.").format(
                low=witnesses // 2 + 1, high=witnesses
            ),
            witnesses=witnesses,
        )
    approvals = terms.approvals or len(coops) // 2 + 1
    if approvals > len(coops):
        raise FoundingError(
            _("{n} coops cannot approve a change: there are {m}.").format(
                n=approvals, m=len(coops)
            ),
            hint=_("Choose a smaller --approvals."),
        )
    table = UnitTable(units)
    limits = {
        place: USUAL_LIMIT[unit.kind] * 10**unit.decimals
        for place, unit in enumerate(units)
        if unit.kind != "count"
    }
    for code, text in terms.limits.items():
        place = table.index(code)
        if table.is_count(place):
            raise FoundingError(
                _("The unit {code} only counts: nothing is owed in it.").format(code=code)
            )
        limits[place] = table.parse(place, text)
    return LedgerTerms(
        quorum=facts.quorum,
        approvals=approvals,
        recovery_s=terms.recovery_days * 86_400,
        accounts_max=terms.accounts_max,
        limits=tuple(sorted(limits.items())),
    )


def read_proposal(path: Path) -> Proposal:
    """Read a proposal or founding file, checking every signature in it."""
    with path.open("rb") as file:
        data = file.read(FOUNDING_FILE_BYTES_MAX + 1)
    return Proposal(decode_founding_file(data))


def merge(proposals: Sequence[Proposal]) -> Proposal:
    """Join copies of one proposal that were signed apart. Raises: FoundingError."""
    first = proposals[0].file
    signatures = list(first.signatures)
    for other in proposals[1:]:
        if other.fed != first.founding.fed:
            raise FoundingError(
                _("The files are different proposals, not copies of one."),
                hint=_("Sign only the one that all of you agreed on."),
            )
        for i, signature in enumerate(other.file.signatures):
            signatures[i] = signatures[i] or signature
    return Proposal(FoundingFile(first.founding, tuple(signatures)))


def sign_proposal(home: Home, password: bytes, proposal: Proposal) -> Proposal:
    """Add the own coop's signature. Raises: FoundingError when the coop is no founder in it."""
    root, _sealing = derive(keyring.open_entropy(home, password))
    entry = proposal.file.founding.founder(coop_id(root.public))
    if entry is None:
        raise FoundingError(
            _("Your coop is not among the founders of this proposal."),
            hint=_("Send your card (maillon federation card) to whoever wrote it."),
        )
    named = (entry.node_key, entry.writer, entry.witness)
    ours = (keyring.open_node(home, password).public, *_ledger_publics(home, password, entry))
    if named != ours:
        raise FoundingError(
            _("The proposal names an older key of your node."),
            hint=_("Send a new card (maillon federation card) and have it written again."),
        )
    return Proposal(proposal.file.sign(root))


def _ledger_publics(home: Home, password: bytes, entry: FoundingCoop) -> tuple[bytes, bytes]:
    """Return the own keys for the accounts, as far as the proposal names any."""
    if not entry.writer and not entry.witness:
        return b"", b""
    keys = ensure_ledger_keys(home, password)
    return keys.writer.public, keys.witness.public if entry.witness else b""


def install(home: Home, proposal: Proposal) -> None:
    """Make a complete founding file the home's own. Raises: FoundingError, AlreadyExists."""
    home.require()
    if proposal.file.missing:
        names = ", ".join(coop.name for coop in proposal.file.missing)
        raise FoundingError(
            _("Not every founder has signed; missing: {names}.").format(names=names),
            hint=_("Each of them runs: maillon federation sign FILE"),
        )
    write_atomic(home.founding, proposal.encode(), mode=0o644)


def load_founding(home: Home) -> Founding:
    """Read the founding document of a home. Raises: NotInFederation, HomeError when damaged."""
    from maillon.protocol.errors import MaillonError
    from maillon.protocol.founding import open_founding

    data = home.require_founding()
    try:
        return open_founding(data)
    except MaillonError as fault:
        raise HomeError(
            _("The founding file {path} is damaged: {fault}").format(
                path=home.founding, fault=fault
            ),
            hint=_("Copy it from a backup or from another coop's node: it is the same for all."),
        ) from None


def describe(proposal: Proposal) -> dict[str, Any]:
    """Return a proposal in plain values, for people and for JSON."""
    founding = proposal.file.founding
    return {
        "name": founding.name,
        "fed": founding.fed.hex(),
        "created": founding.created,
        "quorum": founding.admission_quorum,
        "languages": list(founding.languages),
        "criteria": [{"code": c.code, "labels": dict(c.labels)} for c in founding.asked],
        "units": [
            {"code": u.code, "kind": u.kind, "decimals": u.decimals, "label": u.label}
            for u in founding.units
        ],
        "coops": [
            {
                "name": coop.name,
                "coop": coop.id.hex(),
                "root": coop.root.hex(),
                "node_key": coop.node_key.hex(),
                "addresses": list(coop.addresses),
                "writer": coop.writer.hex(),
                "witness": coop.witness.hex(),
                "founder": True,
                "signed": bool(signature),
            }
            for coop, signature in zip(founding.coops, proposal.file.signatures, strict=True)
        ],
        "ledger": describe_ledger(founding),
    }


def describe_ledger(founding: Founding) -> dict[str, Any] | None:
    """Return the terms of the accounts in plain values, or None when there are no accounts."""
    terms = founding.ledger
    if terms is None:
        return None
    table = UnitTable(founding.units)
    witnesses = sum(bool(coop.witness) for coop in founding.coops)
    return {
        **quorum_data(witnesses, terms.quorum),
        "approvals": terms.approvals,
        "recovery_s": terms.recovery_s,
        "accounts_max": terms.accounts_max,
        "limits": [
            {"unit": table.unit(unit).code, "limit": limit, "text": table.format(unit, limit)}
            for unit, limit in terms.limits
        ],
    }
