"""What several do together: a bundle of two coops, an auction, a cheque on paper."""

from __future__ import annotations

import hashlib
import secrets
import time
from pathlib import Path

from maillon.node.demo.dealing import Dealing, Json, refused
from maillon.node.demo.display import Screen
from maillon.node.demo.helping import FICTIVE
from maillon.node.demo.nodes import DemoFailed, Node, wait_until
from maillon.node.demo.orders import FINAL_WITHIN_S, ORDER_WAIT_S, UNIT, Desk, Resident
from maillon.node.i18n import _, ngettext
from maillon.protocol.auctions import lot_of
from maillon.protocol.errors import LocalError

# Short enough to wait for; where a busy machine did not bid in time, another try has longer.
CLOSES_IN_S = (8, 40)
BIDS_BEFORE_S = 3
BIDS = (("2h", 120), ("1h30", 90), ("1h45", 105))
PARTS = (("Tailler la haie", "45min", 45), ("Porter les branches", "30min", 30))
CHEQUES = 5
CHEQUE, CHEQUE_MINUTES, CHEQUE_MAX = "30min", 30, "1h"
MOBILITY = "mobilite--entretenir-son-vehicule"


class Together:
    """Bundle, auction and cheque."""

    def __init__(self, dealing: Dealing, root: Path, screen: Screen) -> None:
        self.dealing = dealing
        self.desk: Desk = dealing.desk
        self.root = root
        self.screen = screen

    # --- a bundle -------------------------------------------------------------------------------

    def bundle(self) -> None:
        """Publish services of two coops as one, and accept all or nothing."""
        self.screen.chapter(16, _("A bundle of two coops: all of it, or nothing"))
        dealing, desk = self.dealing, self.desk
        asks = desk.one(desk.founders[2], 1)
        givers = desk.one(desk.founders[0], 1), desk.one(desk.founders[1], 1)
        with self.screen.live(_("Signing…")):
            bundle = self._published(givers)
            wait_until(
                _("every provider has signed the bundle"),
                lambda: _complete(asks.node, bundle),
                within_s=FINAL_WITHIN_S,
            )
        self.screen.done(
            _("{a} and {b} have each signed their part").format(a=givers[0].name, b=givers[1].name)
        )
        before = [desk.balance(who) for who in givers]
        path = f"/v1/bundles/{bundle}"
        with self.screen.live(_("Reserving…")):
            asked = asks.node.client.post(f"{path}/reserve", {"by": asks.person})
            exchanges = {part["provider"]["author"]: part["exchange"] for part in asked["parts"]}
            dealing.figures.exchanges += len(exchanges)
            own = [exchanges[dealing.author(who)] for who in givers]
            dealing.quote(givers[0], own[0], PARTS[0][1], reserved=True)
            dealing.reaches(asks, own[0], "quoted")
            early = refused(lambda: asks.node.client.post(f"{path}/commit", {"by": asks.person}))
            dealing.quote(givers[1], own[1], PARTS[1][1], reserved=True)
            wait_until(
                _("both parts are reserved"),
                lambda: asks.node.client.get(path)["status"] == "reserved",
                within_s=FINAL_WITHIN_S,
            )
        self.screen.done(_("With one part reserved it cannot be accepted: {why}").format(why=early))
        with self.screen.live(_("Accepting…")):
            done = asks.node.client.post(
                f"{path}/commit", {"by": asks.person}, timeout=FINAL_WITHIN_S
            )
            if done["status"] != "commit":
                raise DemoFailed(_("A bundle that all had reserved was not agreed."))
            for who, exchange, (_title, _text, minutes) in zip(givers, own, PARTS, strict=True):
                self._reserved(asks, who, exchange)
                dealing.work(asks, who, exchange, minutes)
                dealing.take(asks, exchange, "acceptance", wait_s=ORDER_WAIT_S)
            for who, exchange, had, part in zip(givers, own, before, PARTS, strict=True):
                dealing.paid(asks, who, exchange, part[2])
                dealing.moved(who, had, part[2])
        dealing.figures.bundle_parts = len(own)
        self.screen.done(
            ngettext(
                "One decision agrees {n} part; it is done and paid",
                "One decision agrees all {n} parts; each is done and paid",
                len(own),
            ).format(n=len(own))
        )

    def _reserved(self, asks: Resident, gives: Resident, exchange: str) -> None:
        """Wait until a part is reserved; ask again where the first order was refused."""
        found = self.dealing.becomes(
            asks,
            exchange,
            _("the hours are reserved"),
            lambda shown: (
                bool(shown["hold"]) or any(one["status"] == "refused" for one in shown["payments"])
            ),
        )
        if not found["hold"]:
            asks.node.client.post(
                f"/v1/exchanges/{exchange}/payment",
                {"by": asks.person},
                timeout=FINAL_WITHIN_S,
            )
        self.dealing.reserved(gives, exchange)

    def _published(self, givers: tuple[Resident, Resident]) -> str:
        first, second = givers
        made = first.node.client.post(
            "/v1/bundles",
            {
                "by": first.person,
                "title": "Un jardin remis en état",
                "text": FICTIVE,
                "lang": "fr",
                "categories": ["jardin"],
                "parts": [
                    {
                        "provider": self.dealing.author(who),
                        "title": title,
                        "unit": UNIT,
                        "amount": text,
                    }
                    for who, (title, text, _minutes) in zip(givers, PARTS, strict=True)
                ],
            },
        )
        bundle: str = made["bundle"]
        wait_until(
            _("{name} has heard of what was published").format(name=second.node.area.name),
            lambda: _bundle(second.node, bundle) is not None,
            within_s=FINAL_WITHIN_S,
        )
        second.node.client.post(f"/v1/bundles/{bundle}/parts", {"by": second.person})
        return bundle

    # --- an auction -----------------------------------------------------------------------------

    def auction(self) -> None:
        """Ask for prices; the lowest wins, and every node computes the same winner."""
        self.screen.chapter(17, _("An auction, whose winner every node computes"))
        dealing, desk = self.dealing, self.desk
        asks = desk.one(desk.founders[1], 1)
        bidders = [desk.one(desk.founders[place]) for place in (0, 2, 3)]
        secret = secrets.token_bytes(32)
        with self.screen.live(_("Bidding…")) as moving:
            demand, closes = self._asked_in_time(asks, bidders, secret)
            bids = [self._bid(who, demand, bid[1]) for who, bid in zip(bidders, BIDS, strict=True)]
            for bid in bids:
                dealing.is_at(asks.node, id=bid)
            for who, (text, _minutes) in zip(bidders, BIDS, strict=True):
                self.screen.item(_("{who} bids {amount}").format(who=who.name, amount=text))
            moving.text = _("Waiting for the end of the auction…")
            wait_until(
                _("the time of the auction is over"),
                lambda: time.time() > closes + 1,
                within_s=CLOSES_IN_S[-1] + 5,
            )
            moving.text = _("Awarding…")
            award = self._award(asks, demand, bids, secret)
            dealing.is_at(*desk.running, id=award)
            told = desk.everywhere(lambda node: _computed(node, demand["id"]))
        winners = {answer["winner"] for answer in told}
        expected = bids[1]
        if winners != {expected} or not all(answer["award_right"] is True for answer in told):
            raise DemoFailed(_("The nodes do not compute the same winner."))
        dealing.figures.auction_nodes = len(told)
        self.screen.done(
            _("{who} wins with {amount}").format(who=bidders[1].name, amount=BIDS[1][0]),
            _("computed by all {n} nodes from the records alone; the award says the same").format(
                n=len(told)
            ),
        )

    def _asked_in_time(
        self, asks: Resident, bidders: list[Resident], secret: bytes
    ) -> tuple[Json, int]:
        """Publish a demand that every bidder's node has heard of in time; return when it closes."""
        for within in CLOSES_IN_S:
            closes = int(time.time()) + within
            demand = self._asked(asks, closes, secret)
            self.dealing.is_at(*(who.node for who in bidders), id=demand["id"])
            if time.time() < closes - BIDS_BEFORE_S:
                return demand, closes
            asks.node.client.post(f"/v1/records/{demand['id']}/withdraw")
        raise DemoFailed(_("The auction closed before anybody could bid."))

    def _asked(self, asks: Resident, closes: int, secret: bytes) -> Json:
        payload = {
            "title": "Réviser dix vélos de prêt",
            "text": FICTIVE,
            "lang": "fr",
            "categories": [MOBILITY],
            "mode": ["on_site"],
            "reciprocity": {"kind": "auction", "unit": UNIT, "amount": 180},
            "auction": {
                "form": "open",
                "closes": closes,
                # Among equal prices a lot decides that nobody could choose.
                "lot": hashlib.sha256(secret).hexdigest(),
            },
        }
        return self.dealing.publish(asks.node, "demand", payload, by=asks)

    def _bid(self, who: Resident, demand: Json, minutes: int) -> str:
        payload = {"demand": demand["thing"], "amount": minutes}
        made = self.dealing.publish(who.node, "bid", payload, by=who, refs=(demand["id"],))
        return str(made["id"])

    def _award(self, asks: Resident, demand: Json, bids: list[str], secret: bytes) -> str:
        closed = {"demand": demand["thing"], "bids": sorted(bids)}
        refs = (demand["id"],)
        self.dealing.publish(asks.node, "auction_close", closed, by=asks, refs=refs)
        prices = {bid: minutes for bid, (_text, minutes) in zip(bids, BIDS, strict=True)}
        won = min(bids, key=lambda bid: (prices[bid], lot_of(secret, bytes.fromhex(bid))))
        said = {"demand": demand["thing"], "winner": won, "secret": secret.hex()}
        return str(self.dealing.publish(asks.node, "award", said, by=asks, refs=refs)["id"])

    # --- a cheque -------------------------------------------------------------------------------

    def cheque(self) -> None:
        """Pay with a cheque on paper at another coop, and try it a second time."""
        self.screen.chapter(18, _("A cheque on paper is paid once, at another coop"))
        desk = self.desk
        payer = desk.one(desk.founders[0], 1)
        payee, thief = desk.one(desk.founders[1]), desk.one(desk.founders[3])
        before = desk.balance(payer), desk.balance(payee), desk.balance(thief)
        with self.screen.live(_("Printing…")):
            book = payer.node.client.post(
                "/v1/voucher-books",
                {"account": payer.person, "count": CHEQUES, "unit": UNIT, "max": CHEQUE_MAX},
                timeout=ORDER_WAIT_S + 30,
            )
            sheet = self.root / "cheques.html"
            sheet.write_text(book["html"], encoding="utf-8")
        self.screen.done(
            ngettext(
                "A book of {n} cheque is printed for {payer}, who has no device",
                "A book of {n} cheques is printed for {payer}, who has no device",
                CHEQUES,
            ).format(n=CHEQUES, payer=payer.name)
        )
        voucher = str(book["vouchers"][0]["qr"])
        with self.screen.live(_("Depositing…")):
            paid = self._deposit(payee, voucher, CHEQUE)
            if paid["status"] == "refused":
                raise DemoFailed(
                    _("A cheque was refused: {reason}").format(
                        reason=paid["detail"] or paid["reason"]
                    )
                )
            self.dealing.moved(payer, before[0], -CHEQUE_MINUTES)
            self.dealing.moved(payee, before[1], CHEQUE_MINUTES)
        self.screen.done(
            _("{payee} deposits one of {amount} at their own coop: paid").format(
                payee=payee.name, amount=CHEQUE
            )
        )
        with self.screen.live(_("Depositing it again…")):
            why = self._refused_again(thief, voucher)
        if (desk.balance(payer), desk.balance(thief)) != (before[0] - CHEQUE_MINUTES, before[2]):
            raise DemoFailed(_("A cheque was paid twice."))
        self.screen.done(
            _("A copy of it, deposited at {coop}, is refused:").format(coop=thief.node.area.name)
        )
        self.screen.note(why)

    def _deposit(self, payee: Resident, voucher: str, amount: str) -> Json:
        body = {
            "voucher": voucher, "payee": payee.person, "unit": UNIT, "amount": amount,
            "wait_s": ORDER_WAIT_S,
        }  # fmt: skip
        answer: Json = payee.node.client.post(
            "/v1/vouchers/deposits", body, timeout=ORDER_WAIT_S + 30
        )
        return answer

    def _refused_again(self, thief: Resident, voucher: str) -> str:
        """Try a cheque a second time; return why not. Raises: DemoFailed when it was paid."""
        try:
            answer = self._deposit(thief, voucher, "1h")
        except LocalError as fault:
            if not isinstance(fault.facts.get("problem"), dict):
                raise
            self.dealing.figures.cheque_refused = fault.code
            return str(fault)
        if answer["status"] != "refused":
            raise DemoFailed(_("A cheque was paid twice."))
        self.dealing.figures.cheque_refused = str(answer["reason"])
        return str(answer["detail"] or answer["reason"])


def _bundle(node: Node, bundle: str) -> Json | None:
    found: list[Json] = [
        record
        for record in node.client.get("/v1/records", kind="bundle", limit=1000)["records"]
        if bundle in (record["thing"], record["id"])
    ]
    return found[0] if found else None


def _complete(node: Node, bundle: str) -> bool:
    if _bundle(node, bundle) is None:
        return False
    return bool(node.client.get(f"/v1/bundles/{bundle}")["complete"])


def _computed(node: Node, demand: str) -> Json:
    shown: Json = node.command("auction", "show", demand)
    return shown
