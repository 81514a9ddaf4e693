"""Say in words how an exchange stands, who must act until when, and by which commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from maillon.node.cli import base
from maillon.node.i18n import _, ngettext

Json = dict[str, Any]

COMMANDS: Final[dict[str, str]] = {
    "consent": "consent",
    "mediation": "mediate",
    "handover_acceptance": "take-over",
    "agreement": "accept",
    "quote": "quote",
    "payment": "pay",
    "evaluation": "evaluate",
    "check_out": "check-out",
    "check_in": "check-in",
    "acceptance": "approve",
    "appointment": "appointment",
    "amendment": "add-task",
    "guarantee_closed": "guarantee close",
    "guarantee_claim": "guarantee claim",
    "complaint": "complain",
    "handover": "handover",
    "quote_withdrawal": "withdraw",
    "decline": "decline",
    "cancellation": "cancel",
    "contact": "contact",
    "message": "message",
}
"""The command that takes a step of a kind, after `maillon exchange`: what goes on comes first."""

ALWAYS: Final = frozenset({"message", "contact"})
"""What is possible nearly always is not worth a line each time."""

_ORDER: Final = {kind: place for place, kind in enumerate(COMMANDS)}


def phase_in_words(phase: str) -> str:
    """Return what the phase of an exchange means."""
    words = {
        "opened": _("waits for a quote"),
        "quoted": _("quoted, waits for the decision"),
        "agreed": _("agreed, no appointment yet"),
        "scheduled": _("agreed, with an appointment"),
        "under_way": _("under way"),
        "done": _("done, waits for approval"),
        "accepted": _("approved"),
        "disputed": _("disputed"),
        "settled": _("settled"),
        "paid": _("paid"),
        "evaluated": _("finished and evaluated"),
        "cancelled": _("cancelled"),
        "declined": _("declined"),
        "expired": _("expired"),
        "handed_over": _("waits for the new provider"),
    }
    return words.get(phase, phase)


def role_in_words(role: str) -> str:
    """Return the part that somebody has."""
    words = {
        "requester": _("requester"),
        "provider": _("provider"),
        "payer": _("payer"),
        "mediator": _("mediator"),
        "participant": _("co-signer"),
        "successor": _("new provider"),
    }
    return words.get(role, role)


def party_name(party: Json | None) -> str:
    """Return who somebody is; people of other coops have no name here."""
    if party is None:
        return "–"
    if party.get("name"):
        return base.printable(party["name"])
    coop = base.printable(party.get("coop_name") or party["coop"][:8])
    person = str(party.get("person", ""))
    if not person:
        return coop
    if party.get("here"):
        return person[:8]
    return _("{id} of {coop}").format(id=person[:8], coop=coop)


def contact_in_words(contact: Json | None) -> str:
    """Return how to reach somebody, on one line."""
    return ", ".join(v for v in (contact or {}).values() if isinstance(v, str) and v)


def party_in_role(exchange: Json, role: str) -> str:
    """Return who has a part in an exchange."""
    if role == "successor":
        return _("the new provider")
    party: Json | None = exchange.get(role)
    return role_in_words(role) if party is None else party_name(party)


def deadline_in_words(deadline: Json) -> str:
    """Return until when what is waited for, and what silence means."""
    what, outcome = str(deadline["what"]), str(deadline["outcome"])
    day = base.when(deadline["at"])
    sentences = {
        "quote": _("The quote stands until {when}."),
        "bundle": _("Until {when} the bundle is decided, or this part is free again."),
        "handover": _("The new provider answers until {when}; otherwise nothing changes hands."),
        "begin": _("The work begins until {when}."),
        "check_out": _("The work ends until {when}; otherwise the planned time counts."),
        "accept": _("It is approved or complained of until {when}."),
        "mediate": _("The mediator decides until {when}."),
        "pay": _("It is paid until {when}."),
        "complain": _("A complaint is possible until {when}; then it is final."),
        "evaluate": _("Both evaluate until {when}; then what is there is published."),
        "consent": _("The answer comes until {when}."),
    }
    text = sentences.get(what, _("Until {when}: {what}.")).format(when=day, what=what)
    return f"{text} {silence_in_words(what, outcome)}".strip()


def silence_in_words(what: str, outcome: str) -> str:
    """Return what it means when a deadline passes in silence; empty where that goes unsaid."""
    words = {
        ("begin", "cancelled"): _("Otherwise it is cancelled."),
        ("begin", "done"): _("Otherwise it counts as done."),
        ("begin", "dropped"): _("Otherwise the appointment is dropped."),
        ("accept", "accepted"): _("Otherwise it counts as approved."),
        ("accept", "mediated"): _("Otherwise the mediator decides."),
        ("mediate", "nothing"): _("Otherwise nothing is due."),
        ("mediate", "half"): _("Otherwise half of it is due."),
        ("mediate", "full"): _("Otherwise all of it is due."),
        ("pay", "overdue"): _("Otherwise it is overdue, and stays due."),
        ("pay", "mediated"): _("Otherwise the mediator decides."),
        ("consent", "refused"): _("Otherwise it counts as refused."),
        ("consent", "consented"): _("Otherwise it counts as agreed to."),
    }
    return words.get((what, outcome), "")


def kind_in_words(kind: str) -> str:
    """Return what a kind of step is."""
    words = {
        "opening": _("opened"),
        "message": _("message"),
        "quote": _("quote"),
        "quote_withdrawal": _("quote taken back"),
        "decline": _("declined"),
        "agreement": _("agreed to the quote"),
        "contact": _("contact"),
        "appointment": _("appointment proposed"),
        "consent": _("answer"),
        "check_in": _("work begins"),
        "check_out": _("work ends"),
        "acceptance": _("approval"),
        "complaint": _("complaint"),
        "mediation": _("mediation"),
        "payment": _("payment"),
        "hold": _("reservation"),
        "cancellation": _("cancellation"),
        "handover": _("handover proposed"),
        "handover_acceptance": _("taken over"),
        "amendment": _("task proposed"),
        "evaluation": _("evaluation"),
        "guarantee_claim": _("guarantee claimed"),
        "guarantee_closed": _("claim closed"),
        "funding": _("word of the payer"),
        "funding_request": _("payer asked"),
        "bundle_decision": _("decision on the bundle"),
    }
    return words.get(kind, kind)


def void_in_words(why: str) -> str:
    """Return why a step does not count."""
    words = {
        "exchange": _("it belongs to another exchange"),
        "equivocation": _("they signed something else at the same place"),
        "erased": _("its content was erased"),
        "role": _("it was not theirs to take"),
        "phase": _("it did not fit how things stood"),
        "unknown_step": _("it names what is not there"),
        "outranked": _("another step that it crossed goes before it"),
        "rival": _("another step that it crossed counts"),
        "decided": _("it was decided already"),
        "late": _("it came too late"),
        "early": _("it came too early"),
        "reserved": _("it was bound by the bundle"),
        "slot": _("it names no appointment that is there"),
        "amount": _("it was more than there was"),
        "nothing_due": _("nothing was due"),
        "revoked": _("the key or the mandate did not count any more"),
        "waiting": _("what it refers to has not arrived yet"),
    }
    return words.get(why, why)


def said_in_words(entry: Json) -> str:
    """Return what somebody said, after what kind of step they said it in."""
    kind, text = str(entry["kind"]), base.printable(entry["text"])
    amount = "" if entry["amount"] is None else str(entry["amount"]["text"])
    late = int(entry["late_minutes"])
    leads = {
        "message": _("comes {n} min later:").format(n=late) if late else "",
        "complaint": _("complains and proposes {amount}:").format(amount=amount)
        if amount
        else _("complains:"),
        "mediation": _("decides {amount}:").format(amount=amount),
        "acceptance": _("approves {amount} only:").format(amount=amount)
        if amount
        else _("approves in part:"),
        "cancellation": _("cancels and offers {amount}:").format(amount=amount)
        if amount
        else _("cancels:"),
        "consent": _("agrees:") if entry["yes"] else _("does not agree:"),
        "handover": _("hands it over:"),
        "decline": _("declines:"),
        "quote_withdrawal": _("takes the quote back:"),
    }
    told = f"{leads.get(kind, '')} {text}".strip()
    return told if text else told.rstrip(":")


def proposal_in_words(entry: Json, exchange: Json) -> str:
    """Return what waits for an answer: who proposes what, until when, and how to answer."""
    kind = str(entry["kind"])
    who = party_name(entry["by"])
    amount = "" if entry["amount"] is None else str(entry["amount"]["text"])
    text = base.printable(entry["text"])
    if kind == "appointment":
        told = _("{who} proposes {what}").format(who=who, what=_appointments(entry, exchange))
    elif kind == "amendment":
        extra = [part for part in (amount, _minutes(entry), _appointments(entry, exchange)) if part]
        told = _("{who} proposes another task").format(who=who)
        told += f" ({', '.join(extra)})" if extra else ""
    elif kind == "handover":
        told = _("{who} hands {what} over to {whom}").format(
            who=who,
            what=_("the task {id}").format(id=entry["task"][:8])
            if entry["task"]
            else _("all of it"),
            whom=party_name(entry["to"]),
        )
    elif kind == "complaint":
        told = _("{who} complains and proposes to settle it with {amount}").format(
            who=who, amount=amount
        )
    else:
        told = _("{who} cancels and offers {amount}").format(who=who, amount=amount)
    if text:
        told += f": {text}"
    if entry["until"] is not None:
        told += " — " + _("until {when}.").format(when=base.when(entry["until"]))
        told += " " + silence_in_words("consent", entry["outcome"])
    answer = (
        f"take-over {exchange['id'][:8]}"
        if entry["wants"] == "handover_acceptance"
        else f"consent {exchange['id'][:8]} --to {entry['step'][:8]}"
    )
    return base.state().in_home(f"{entry['step'][:8]}  {told}  (maillon exchange {answer})")


def _minutes(entry: Json) -> str:
    return "" if not entry["minutes"] else _("{n} min").format(n=entry["minutes"])


def _appointments(entry: Json, exchange: Json) -> str:
    """Return the appointments of a proposal: new ones, moved ones, those called off."""
    from maillon.node.cli import clock

    before = {slot["slot"]: slot for slot in exchange["slots"] if slot["status"] != "proposed"}

    def span(slot: Json) -> str:
        text = clock.span_in_words(slot["start"], slot["end"], zoned=False)
        return f"{text}, {slot['place']}" if slot["place"] else text

    parts: list[str] = []
    for slot in entry["slots"]:
        old = before.get(slot["slot"])
        if old is not None and slot["slot"] in entry["moves"]:
            parts.append(_("{new} in the place of {old}").format(new=span(slot), old=span(old)))
        else:
            parts.append(span(slot))
    for id in entry["cancels"]:
        off = span(before[id]) if id in before else id[:8]
        parts.append(_("to call off {slot}").format(slot=off))
    return "; ".join(base.printable(part) for part in parts)


def fields_in_words(step: Json, exchange: Json) -> str:
    """Return what a step says, for the transcript: words, times and amounts."""
    said: Json = step["fields"] or {}
    if step["fields"] is None:
        return _("(erased)")
    for entry in exchange["said"]:
        if entry["step"] == step["id"]:
            return said_in_words(entry)
    for entry in exchange["proposals"]:
        if entry["step"] == step["id"]:
            parts = [entry["text"], _minutes(entry), _appointments(entry, exchange)]
            parts.insert(0, "" if entry["amount"] is None else entry["amount"]["text"])
            return ", ".join(part for part in parts if part)
    from maillon.node.cli import clock

    slots = [*said.get("slots", ()), *said.get("adds", {}).get("when", ())]
    parts = [said.get("text") or said.get("reason") or said.get("adds", {}).get("text") or ""]
    parts += [clock.span_in_words(slot["start"], slot["end"], zoned=False) for slot in slots]
    if isinstance(said.get("time"), int):
        parts.append(base.when(said["time"]))
    if said.get("minutes"):
        parts.append(_("{n} min").format(n=said["minutes"]))
    if isinstance(said.get("yes"), bool):
        parts.append(_("yes") if said["yes"] else _("no"))
    if isinstance(said.get("to"), str) and step["kind"] == "consent":
        parts.append(_("to {step}").format(step=said["to"][:8]))
    return ", ".join(base.printable(part) for part in parts if part)


def next_in_words(exchange: Json) -> list[str]:
    """Return who is waited for, until when, and what those here can do: one line each."""
    lines: list[str] = []
    waiting = [party_in_role(exchange, role) for role in exchange["waiting_for"]]
    if waiting:
        lines.append(_("Next: {who}.").format(who=", ".join(dict.fromkeys(waiting))))
    # Until when a proposal is to be answered stands beside what is proposed.
    told = {entry["until"] for entry in exchange["proposals"]}
    deadlines = [
        entry
        for entry in exchange["deadlines"]
        if entry["what"] not in ("consent", "handover") or entry["at"] not in told
    ]
    lines += [deadline_in_words(entry) for entry in deadlines[:2]]
    lines += commands_possible(exchange)
    if exchange["delivery"]["waiting"]:
        n = exchange["delivery"]["waiting"]
        lines.append(
            ngettext(
                "{n} letter waits for the other node; it goes by itself.",
                "{n} letters wait for other nodes; they go by themselves.",
                n,
            ).format(n=n)
        )
    if exchange["delivery"]["expired"]:
        lines.append(
            _(
                "A letter could not be delivered in time: the other side does not know the last "
                "step."
            )
        )
    lines += [base.printable(notice) for notice in exchange["notices"]]
    return lines


def commands_possible(exchange: Json) -> list[str]:
    """Return what people here can do now: a line for each of them, and its likeliest command."""
    by_author: dict[str, list[str]] = {}
    for entry in exchange["possible"]:
        kinds = by_author.setdefault(entry["by"], [])
        if entry["kind"] in COMMANDS and entry["kind"] not in ALWAYS and entry["kind"] not in kinds:
            kinds.append(entry["kind"])
    names = {
        party["author"]: party_name(party)
        for party in (exchange["requester"], exchange["provider"], exchange.get("mediator"))
        if party is not None
    }
    lines: list[str] = []
    for author, kinds in by_author.items():
        if kinds:
            kinds.sort(key=lambda kind: _ORDER[kind])
            lines.append(
                _("{who} can: {what} (maillon exchange {command})").format(
                    who=names.get(author) or role_in_words("participant"),
                    what=", ".join(COMMANDS[kind] for kind in kinds),
                    command=command_with_id(kinds[0], exchange["id"][:8]),
                )
            )
    return lines


def command_with_id(kind: str, id: str) -> str:
    """Return the command of a kind of step, with the exchange it is for."""
    command = COMMANDS.get(kind, kind)
    return f"{command} {id}"


def tell(
    data: Json,
    done: str,
    *,
    out: Sequence[Json] = (),
    more: Callable[[Json], None] | None = None,
) -> None:
    """Print what is now so, what became of payments, what waits for an answer, who acts next."""
    click.echo(done)
    if more is not None:
        more(data)
    for payment in out:
        click.echo("  " + payment_in_words(payment))
    for entry in data["proposals"]:
        click.echo("  " + proposal_in_words(entry, data))
    for line in next_in_words(data):
        base.advise(line)


def payment_in_words(payment: Json) -> str:
    """Return what became of a payment or reservation."""
    amount = payment["amount"]["text"]
    what = str(payment["what"])
    status = str(payment["status"])
    nouns = {
        "hold": _("Reservation of {amount}"),
        "pay": _("Payment of {amount}"),
        "confirm": _("Payment of {amount}, which was reserved"),
        "release": _("Giving {amount} back"),
        "acknowledge": _("Acknowledgement of {amount}, on which the two evaluate each other"),
        "gift": _("A gift"),
        "count_only": _("Counted, nothing is owed"),
        "outside": _("Paid in money, outside of these accounts"),
    }
    states = {
        "wanted": _("waits for a signature"),
        "ordered": _("kept, goes on by itself"),
        "waiting": _("kept, goes on by itself"),
        "placed": _("kept, goes on by itself"),
        "announced": _("announced, not certified yet"),
        "certified": _("certified"),
        "held": _("reserved"),
        "posted": _("given"),
        "void": _("given back"),
        "refused": _("refused"),
    }
    text = nouns.get(what, what).format(amount=amount)
    if what in ("gift", "count_only", "outside"):
        return text
    text = f"{text}: {states.get(status, status)}"
    if status == "refused":
        from maillon.node.cli.refusals import in_words

        told, _hint = in_words(payment["reason"], {}, payment["detail"])
        text += f" ({told})"
    return text


def refused(fault: Exception, id: str) -> Exception:
    """Return the error of a step that is not possible now, with the state and what is possible."""
    if getattr(fault, "code", "") != "step":
        return fault
    problem: Mapping[str, Any] = getattr(fault, "facts", {}).get("problem") or {}
    kind = str(problem.get("kind", ""))
    why = _why_not(problem)
    phase = phase_in_words(str(problem.get("phase", "")))
    message = _("That is not possible now: the exchange is in the state “{phase}”.").format(
        phase=phase
    )
    if why:
        message = f"{message} {why}"
    if problem.get("next"):
        message += " " + _("Next: {who}.").format(who=base.printable(str(problem["next"])))
    possible = [k for k in problem.get("possible", ()) if k in COMMANDS and k != kind]
    if possible:
        possible.sort(key=lambda kind: _ORDER[kind])
        hint = _("Possible now: {what} (maillon exchange {command})").format(
            what=", ".join(COMMANDS[k] for k in possible), command=command_with_id(possible[0], id)
        )
    else:
        hint = _("Nothing is possible for them now. See: maillon exchange show {id}").format(id=id)
    return base.problem("step", message, hint, problem=dict(problem))


def _why_not(problem: Mapping[str, Any]) -> str:
    if "most_text" in problem:
        return _("At most {amount} is possible.").format(amount=problem["most_text"])
    if problem.get("reason") == "early" and isinstance(problem.get("at"), int):
        return _("It is possible from {time} on.").format(time=base.when(problem["at"]))
    return reason_in_words(str(problem.get("reason", "")))


def reason_in_words(reason: str) -> str:
    """Return why a step does not fit, where the state alone does not say it."""
    words = {
        "role": _("Somebody else takes this step."),
        "late": _("Its time is over."),
        "decided": _("It was done already."),
        "nothing_due": _("Nothing is due."),
        "reserved": _("It is bound until the bundle is decided."),
    }
    return words.get(reason, "")
