"""Fill in what a step can only mean; say what is missing, or does not fit, as a person would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from maillon.node.api import exchange_shapes as shapes
from maillon.node.exchange.awaiting import Names, check_in_from, next_ones
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError, StepRefused
from maillon.protocol.exchange import Exchange
from maillon.protocol.exchange.clock import advance
from maillon.protocol.exchange.effects import in_dispute
from maillon.protocol.records import KINDS, build
from maillon.protocol.records.build import FieldError

SHOWN_CHARACTERS: Final = 8
SHOWN_MAX: Final = 8
"""Of several that could be meant, so many are named, each by so much of its id."""

NAMED: Final[Mapping[str, str]] = {
    "agreement": "quote",
    "quote_withdrawal": "quote",
    "consent": "to",
    "check_in": "slot",
    "check_out": "slot",
    "handover_acceptance": "handover",
    "guarantee_closed": "claim",
}
"""By kind, the field that names what a step is about; left out, the only one there is is meant."""


class SayWhich(LocalError):
    """Several could be meant. Facts: `field`, and `candidates` (ids)."""

    code = "ambiguous"


class NoFallback(LocalError):
    """Terms name no human to turn to besides this network."""

    code = "field"


def candidates(kind: str, state: Exchange, author: bytes) -> list[bytes]:
    """Return what a step of this kind could be about, by what its author may answer now."""
    match kind:
        case "agreement" | "quote_withdrawal":
            return [quote.id for quote in state.quotes if quote.status == "open"]
        case "consent":
            return [change.id for change in state.changes if change.by != author]
        case "check_in":
            return [slot.slot for slot in state.slots if slot.status == "agreed" and slot.slot]
        case "check_out":
            return [slot.slot for slot in state.slots if slot.status == "under_way" and slot.slot]
        case "handover_acceptance":
            return [h.id for h in state.handovers if h.to == author and h.status == "consented"]
        case "guarantee_closed":
            return [claim.claim for claim in state.guarantees if claim.closed is None]
        case _:
            return []


def fill(kind: str, fields: dict[str, Any], state: Exchange, author: bytes, now: int) -> None:
    """Write what a step names, where only one thing can be meant."""
    name = NAMED.get(kind)
    if name is not None and name not in fields:
        found = candidates(kind, state, author)
        if len(found) == 1:
            fields[name] = found[0]
    match kind:
        case "consent":
            fields.setdefault("yes", True)
        case "check_in" | "check_out":
            fields.setdefault("time", now)
        case "mediation":
            fields.setdefault("closes", True)
        case _:
            pass


def require_whole(
    kind: str, fields: Mapping[str, Any], state: Exchange | None, author: bytes, names: Names
) -> None:
    """Return when the fields make a step of this kind.

    Raises: StepRefused when what it would be about is not there now; SayWhich when there are
    several; NoFallback; FieldError for everything else that does not fit.
    """
    values = dict(fields)
    if any(field.name == "exchange" for field in KINDS[kind].schema.fields):
        values["exchange"] = bytes(32)
    try:
        build(kind, salt=bytes(16), **values)
    except FieldError as fault:
        told = fault.facts
        missing = told.get("rule") == "required"
        name = NAMED.get(kind)
        if missing and state is not None and name is not None and told.get("field") == name:
            raise _unnamed(kind, name, state, author, names) from None
        if missing and told.get("field") == "terms.fallback":
            raise NoFallback(
                _("These terms name nobody to turn to when the network does not help."),
                hint=_(
                    "Give a name with a telephone number or a place (--contact-phone, "
                    "--contact-place), or write phone under [coop.contact] in config.toml once."
                ),
                field="terms.fallback",
                kind=kind,
            ) from None
        raise


def _unnamed(
    kind: str, name: str, state: Exchange, author: bytes, names: Names
) -> LocalError | StepRefused:
    found = candidates(kind, state, author)
    if len(found) > 1:
        kinds = {change.id: change.kind for change in state.changes}
        listed = ", ".join(
            f"{kinds[id]} {id.hex()[:SHOWN_CHARACTERS]}"
            if id in kinds
            else id.hex()[:SHOWN_CHARACTERS]
            for id in found[:SHOWN_MAX]
        )
        return SayWhich(
            _("There are several; say which one is meant: {listed}").format(listed=listed),
            hint=_("Name it in the field {name}.").format(name=name),
            field=name,
            candidates=[id.hex() for id in found[:SHOWN_MAX]],
        )
    possible = state.next(author, state.now)
    fault = StepRefused(
        phase=state.phase,
        kind=kind,
        reason=possible.why_not.get(kind, "phase"),
        possible=possible.kinds,
    )
    return in_words(fault, state, names)


def in_words(fault: StepRefused, state: Exchange, names: Names) -> StepRefused:
    """Return a refusal with a sentence: the state, why, and who is next.

    Adds the facts `next` (names), `most` and `most_text` for an amount above what there is, and
    `at` for what is too early.
    """
    kind, reason = str(fault.facts.get("kind", "")), str(fault.facts.get("reason", ""))
    facts = dict(fault.facts)
    told = [_("That is not possible now: the exchange is {phase}.").format(phase=state.phase)]
    if reason == "amount":
        most = _most(kind, state)
        if most is not None:
            shown = names.money(most, state.due.unit)
            facts |= {"most": most, "most_text": shown.text}
            told = [_("At most {amount} is possible.").format(amount=shown.text)]
    elif reason == "early":
        start = check_in_from(state)
        facts |= {} if start is None else {"at": start}
        told = [_("It is too early: at most a day before the appointment.")]
    else:
        told += [sentence for sentence in (why(reason),) if sentence]
    waited = next_ones(names, state)
    if waited and reason not in ("amount", "early"):
        facts["next"] = waited
        told.append(_("Next: {who}.").format(who=waited))
    return StepRefused(" ".join(told), **facts)


def why(reason: str) -> str:
    """Return why a step does not fit, where the state alone does not say it."""
    sentences: dict[str, Callable[[], str]] = {
        "role": lambda: _("Somebody else takes this step."),
        "late": lambda: _("Its time is over."),
        "decided": lambda: _("That was done already."),
        "nothing_due": lambda: _("Nothing is due."),
        "reserved": lambda: _("It is reserved until the bundle is decided."),
        "slot": lambda: _("There is no such appointment."),
        "unit": lambda: _("Another unit was agreed."),
        "kind": lambda: _("Another way of paying was agreed."),
        "transfer": lambda: _("That transfer is not one of this exchange."),
        "unknown_step": lambda: _("What it names is not there."),
        "full": lambda: _("The exchange has as many steps as it can have."),
    }
    found = sentences.get(reason)
    return "" if found is None else found()


def _most(kind: str, state: Exchange) -> int | None:
    """Return the greatest amount that a step may name now, None where there is none."""
    if kind not in ("acceptance", "mediation"):
        return None
    folded = state.folded.copy()
    advance(folded, state.now)
    if folded.dispute is not None and (kind == "mediation" or folded.dispute.fixed is not None):
        return in_dispute(folded)
    return state.expected


def mediator_notice(names: Names, terms: Mapping[str, Any] | None, parties: Sequence[bytes]) -> str:
    """Return the sentence that who would mediate is the coop of one of the two alone, or none."""
    mediator = None if terms is None else cast("bytes | None", terms.get("mediator"))
    if mediator is None:
        return ""
    own = [author for author in parties if author[1:33] == mediator[1:33]]
    if len(own) != 1:
        return ""
    coop = _name(names.party(mediator))
    return _("{coop}, which is to mediate, is the coop of one of the two: {name}.").format(
        coop=coop, name=_name(names.party(own[0]))
    )


def _name(party: shapes.Party) -> str:
    return party.name or party.person[:SHOWN_CHARACTERS] or party.coop[:SHOWN_CHARACTERS]
