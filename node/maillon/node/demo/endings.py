"""How else an exchange ends: mediated, handed over, and gone on with after a node was killed."""

from __future__ import annotations

import time

from maillon.node.cli.exchange_words import refused as in_step_words
from maillon.node.demo.dealing import Dealing, Json, refused
from maillon.node.demo.display import Screen, seconds
from maillon.node.demo.nodes import DemoFailed
from maillon.node.demo.orders import FINAL_WITHIN_S, ORDER_WAIT_S, Desk
from maillon.node.i18n import _

HOUR = 60
# Of an hour and a half that was agreed, what the mediator finds was done.
ASKED, MEDIATED, MEDIATED_MINUTES = "1h30", "45min", 45


class Endings:
    """A complaint, a handover, and a crash."""

    def __init__(self, dealing: Dealing, screen: Screen) -> None:
        self.dealing = dealing
        self.desk: Desk = dealing.desk
        self.screen = screen

    def mediate(self) -> None:
        """Complain about work, and let a third coop decide what is paid."""
        self.screen.chapter(14, _("A complaint is mediated by a third coop"))
        dealing, desk = self.dealing, self.desk
        asks, gives = desk.one(desk.founders[1], 1), desk.one(desk.founders[3], 1)
        mediator = desk.founders[2]
        before = desk.balance(asks), desk.balance(gives)
        with self.screen.live(_("Agreeing…")):
            exchange = dealing.agree(
                asks, gives, "Ranger la cave", ASKED, mediator=f"63{desk.coop(mediator)}"
            )
            dealing.work(asks, gives, exchange, 90)
        self.screen.done(
            _("{gives} has worked for {asks}; {amount} are reserved").format(
                gives=gives.name, asks=asks.name, amount=ASKED
            )
        )
        with self.screen.live(_("Mediating…")):
            text = {"text": "La moitié reste à faire.", "lang": "fr"}
            dealing.take(asks, exchange, "complaint", text)
            seen = dealing.reaches(mediator, exchange, "disputed")
            if not any(step["kind"] == "mediation" for step in seen["possible"]):
                raise DemoFailed(_("The mediator cannot decide."))
            self.screen.done(
                _("{asks} complains: {coop} mediates, as was agreed").format(
                    asks=asks.name, coop=mediator.area.name
                ),
                _("it has received all {n} steps, sealed to it").format(n=seen["steps"]),
            )
            decision = {"amount": MEDIATED, "text": "La moitié est faite.", "lang": "fr"}
            dealing.take(mediator, exchange, "mediation", decision)
            dealing.paid(asks, gives, exchange, MEDIATED_MINUTES)
            dealing.moved(asks, before[0], -MEDIATED_MINUTES)
            dealing.moved(gives, before[1], MEDIATED_MINUTES)
        dealing.figures.mediated_minutes = MEDIATED_MINUTES
        self.screen.done(
            _("It decides: {amount} is paid, the rest is free again on the account").format(
                amount=MEDIATED
            )
        )

    def hand_over(self) -> None:
        """Replace a provider who cannot come by one of another coop."""
        self.screen.chapter(15, _("A provider falls ill, and another takes over"))
        dealing, desk = self.dealing, self.desk
        asks = desk.one(desk.founders[3], 1)
        ill, takes = desk.one(desk.founders[0]), desk.one(desk.founders[2])
        with self.screen.live(_("Agreeing…")):
            before = desk.balance(ill), desk.balance(takes)
            exchange = dealing.agree(asks, ill, "Trajet vers un rendez-vous médical", "1h")
            ill.node.client.post(
                f"/v1/exchanges/{exchange}/handover",
                {"by": ill.person, "to": dealing.author(takes), "text": "Je suis malade."},
                timeout=FINAL_WITHIN_S,
            )
            dealing.may(asks, exchange, "consent")
        self.screen.done(
            _("{ill} hands what was agreed over to {takes}").format(ill=ill.name, takes=takes.name)
        )
        with self.screen.live(_("Handing over…")):
            dealing.take(asks, exchange, "consent", {"yes": True})
            dealing.may(takes, exchange, "handover_acceptance")
            dealing.take(takes, exchange, "handover_acceptance")
            for who in (asks, ill):
                dealing.reaches(who, exchange, "agreed", "scheduled")
            late = refused(lambda: dealing.take(ill, exchange, "check_in"))
            dealing.reserved(takes, exchange)
            dealing.work(asks, takes, exchange, HOUR)
            dealing.take(asks, exchange, "acceptance", wait_s=ORDER_WAIT_S)
            dealing.paid(asks, takes, exchange, HOUR)
            dealing.moved(takes, before[1], HOUR)
        if desk.balance(ill) != before[0]:
            raise DemoFailed(_("Who did not do the work was paid."))
        self.screen.done(
            _("{asks} consents, {takes} accepts").format(asks=asks.name, takes=takes.name),
            _("works, and is the one who is paid"),
        )
        why = in_step_words(late, exchange)
        self.screen.note(_("{ill} tries to check in: {why}").format(ill=ill.name, why=why))

    def resume(self) -> None:
        """Kill the requester's node right after it confirmed an acceptance."""
        self.screen.chapter(19, _("A node is killed in the middle of an exchange"))
        dealing, desk = self.dealing, self.desk
        asks, gives = desk.one(desk.founders[2]), desk.one(desk.founders[1])
        victim = asks.node
        before = desk.balance(asks), desk.balance(gives)
        with self.screen.live(_("Agreeing…")):
            exchange = dealing.agree(asks, gives, "Réparer un vélo", "1h")
            dealing.work(asks, gives, exchange, HOUR)
        with self.screen.live(_("Killing and starting…")):
            # Answered for means durable: the acceptance, the payment that follows, the letters.
            dealing.take(asks, exchange, "acceptance")
            victim.kill()
            self.screen.done(
                _("{coop} was killed with SIGKILL right after confirming the acceptance").format(
                    coop=victim.area.name
                )
            )
            word = {"text": "Merci, à bientôt !", "lang": "fr"}
            dealing.take(gives, exchange, "message", word)
            start = time.monotonic()
            victim.start()
            dealing.paid(asks, gives, exchange, HOUR)
            found = dealing.becomes(
                asks, exchange, _("what was said meanwhile has arrived"), _waits_for_nothing
            )
            told = victim.client.get(f"/v1/exchanges/{exchange}/transcript")["steps"]
            dealing.figures.resumed_s = time.monotonic() - start
            dealing.moved(asks, before[0], -HOUR)
            dealing.moved(gives, before[1], HOUR)
            desk.alive(victim)
        kinds = [step["kind"] for step in told]
        dealing.figures.payments_after_restart = len(found["payments"])
        if kinds.count("acceptance") != 1:
            raise DemoFailed(_("An acceptance was lost, or done twice."))
        self.screen.done(
            _("Started again it goes on where it was: accepted once, paid once"),
            _("{time} after it was started").format(time=seconds(dealing.figures.resumed_s)),
        )


def _waits_for_nothing(found: Json) -> bool:
    return not found["delivery"]["waiting"]
