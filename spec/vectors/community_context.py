"""Make the vectors of records that rest on others (spec/08-community), for records-context.json."""

from __future__ import annotations

from typing import Any, Protocol

from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S, KINDS, build
from support import community as c
from support.schema_cases import sample
from support.world import Coop, Member, World

DAY, HOUR = DAY_S, 3_600


class Shelf(Protocol):
    """What of the book of cases is needed here."""

    world: World
    records: dict[str, Signed]

    def put(self, label: str, signed: Signed) -> Signed: ...

    def case(
        self, name: str, given: list[str], record: str, expect: str = "ok", **facts: Any
    ) -> None: ...

    def live(self, name: str, given: list[str], live: list[str]) -> None: ...


def community(b: Shelf) -> None:
    """Fill in all cases of records that rest on others."""
    w = b.world
    people = {name: w.make_member(1, name) for name in ("dora", "emil", "fanny")}
    for name, member in people.items():
        b.put(name, w.membership(member))
    known = ["profile 0", "profile 1", *people]
    _open_auction(b, known, people)
    _sealed_auction(b, known, people)
    _consents(b, known, people)
    _moves(b, people)
    _vouching(b)


def _refused(b: Shelf, name: str, given: list[str], signed: Signed, rule: str) -> None:
    b.put(name, signed)
    b.case(name, given, name, "ref_invalid", rule=rule)


def _open_auction(b: Shelf, known: list[str], people: dict[str, Member]) -> None:
    w, (dora, emil, fanny) = b.world, people.values()
    demand = b.put("auction", c.auction(w, dora, limit=100))
    given = [*known, "auction"]
    bid = b.put("bid of emil", c.bid(w, emil, demand, dora, 60))
    b.put("bid of fanny", c.bid(w, fanny, demand, dora, 100))
    b.case("a bid", given, "bid of emil")
    b.case("a bid at the limit", given, "bid of fanny")
    b.case("a bid before its demand is known", known, "bid of emil", "ref_missing")
    closes = demand.header.at + DAY
    b.put("bid of the last second", c.bid(w, emil, demand, dora, 50, at=closes))
    b.case("a bid in the last second", given, "bid of the last second")
    _refused(b, "a bid a second late", given, c.bid(w, emil, demand, dora, 50, at=closes + 1),
             "closed")  # fmt: skip
    _refused(b, "a bid above the limit", given, c.bid(w, emil, demand, dora, 101), "limit")
    _refused(b, "a bid for one's own demand", given, c.bid(w, dora, demand, dora), "own")
    sealed = c.bid(w, emil, demand, dora, commit=bytes(32))
    _refused(b, "a sealed bid in an open auction", given, sealed, "form")
    other = c.bid(w, emil, demand, dora, demand=w.derive("another thing", 32))
    _refused(b, "a bid that names another thing", given, other, "thing")
    plain = b.put("plain demand", w.demand(dora))
    _refused(b, "a bid where nothing is auctioned", [*known, "plain demand"],
             c.bid(w, emil, plain, dora), "auction")  # fmt: skip
    _refused(b, "a bid that rests on a bid", [*given, "bid of emil"],
             c.upon(w, "bid", emil, bid, emil, amount=1), "kind")  # fmt: skip
    b.put("close", c.close(w, dora, demand, [bid]))
    b.case("a close by whoever asked", given, "close")
    b.case("a close of what is not known", known, "close", "ref_missing")
    _refused(b, "a close by a bidder", given, c.close(w, emil, demand, [bid], owner=dora), "party")
    early = c.close(w, dora, demand, [], at=closes)
    _refused(b, "a close in the last second", given, early, "early")
    b.put("award", c.award(w, dora, demand, bid))
    b.case("an award", given, "award")
    _refused(b, "an award by a bidder", given, c.award(w, emil, demand, bid, owner=dora), "party")
    _refused(b, "an award in the last second", given, c.award(w, dora, demand, bid, at=closes),
             "early")  # fmt: skip
    _refused(b, "an award with another secret", given, c.award(w, dora, demand, bid,
             secret=bytes(32)), "lot")  # fmt: skip
    _refused(b, "an award where nothing is auctioned", [*known, "plain demand"],
             c.award(w, dora, plain, None), "auction")  # fmt: skip
    b.put("cosigned", c.upon(w, "cosignature", emil, plain, dora, persons=2))
    b.case("a demand cosigned", [*known, "plain demand"], "cosigned")
    _refused(b, "one's own demand cosigned", [*known, "plain demand"],
             c.upon(w, "cosignature", dora, plain, dora), "own")  # fmt: skip
    _refused(b, "another thing cosigned", [*known, "plain demand"],
             c.upon(w, "cosignature", emil, plain, dora, demand=bytes(32)), "thing")  # fmt: skip
    all_ = [*given, "bid of emil", "bid of fanny", "close", "award"]
    b.live("an auction and all that rests on it", all_, all_)
    b.put("auction revised", c.auction(w, dora, limit=90, at=demand.header.at + 60, rev=1,
          series=demand.header.series))  # fmt: skip
    b.live("what rests on a revision falls with it", [*all_, "auction revised"],
           [*known, "auction revised"])  # fmt: skip
    b.put("auction gone", w.withdrawal(demand, dora.key, dora.coop))
    b.live("what rests on a demand falls with it", [*all_, "auction gone"],
           [*known, "auction gone"])  # fmt: skip
    b.put("bid of emil gone", w.withdrawal(bid, emil.key, emil.coop))
    b.live("a bid is taken back", [*all_, "bid of emil gone"],
           [*given, "bid of fanny", "close", "award", "bid of emil gone"])  # fmt: skip


def _sealed_auction(b: Shelf, known: list[str], people: dict[str, Member]) -> None:
    w, (dora, emil, fanny) = b.world, people.values()
    demand = b.put("sealed auction", c.auction(w, dora, sealed=True, limit=100))
    nonce = w.derive("nonce", 32)
    bid = b.put("sealed bid", c.sealed_bid(w, emil, demand, dora, 70, nonce))
    given = [*known, "sealed auction", "sealed bid"]
    b.case("a sealed bid", [*known, "sealed auction"], "sealed bid")
    _refused(b, "an open bid in a sealed auction", [*known, "sealed auction"],
             c.bid(w, emil, demand, dora, 70), "form")  # fmt: skip
    b.put("reveal", c.reveal(w, emil, bid, 70, nonce))
    b.case("a bid opened", given, "reveal")
    b.case("a bid opened that is not known", [*known, "sealed auction"], "reveal", "ref_missing")
    closes, last = demand.header.at + DAY, demand.header.at + 2 * DAY
    _refused(b, "another amount opened", given, c.reveal(w, emil, bid, 69, nonce), "commit")
    _refused(b, "opened with another nonce", given, c.reveal(w, emil, bid, 70, bytes(32)), "commit")
    _refused(b, "opened by somebody else", given, c.reveal(w, fanny, bid, 70, nonce), "party")
    _refused(b, "opened while bids come in", given, c.reveal(w, emil, bid, 70, nonce, at=closes),
             "early")  # fmt: skip
    _refused(b, "opened a second late", given, c.reveal(w, emil, bid, 70, nonce, at=last + 1),
             "closed")  # fmt: skip
    for name, at in (("first", closes + 1), ("last", last)):
        b.put(f"reveal of the {name} second", c.reveal(w, emil, bid, 70, nonce, at=at))
        b.case(f"opened in the {name} second", given, f"reveal of the {name} second")
    high = b.put("sealed bid above", c.sealed_bid(w, fanny, demand, dora, 101, nonce))
    _refused(b, "a price above the limit opened", [*given, "sealed bid above"],
             c.reveal(w, fanny, high, 101, nonce), "limit")  # fmt: skip
    bare = b.records["bid of emil"]
    _refused(b, "an open bid opened", [*known, "auction", "bid of emil"],
             c.reveal(w, emil, bare, 60, nonce), "form")  # fmt: skip
    _refused(b, "an award before all had time to open", given,
             c.award(w, dora, demand, bid, at=last), "early")  # fmt: skip
    b.put("sealed award", c.award(w, dora, demand, bid, [b.records["reveal"]], at=last + 1))
    b.case("an award of a sealed auction", given, "sealed award")
    all_ = [*given, "reveal", "sealed award"]
    b.live("a sealed auction and all that rests on it", all_, all_)
    b.put("sealed bid gone", w.withdrawal(bid, emil.key, emil.coop))
    b.live("a reveal falls with its bid", [*all_, "sealed bid gone"],
           [*known, "sealed auction", "sealed award", "sealed bid gone"])  # fmt: skip
    b.put("sealed auction gone", w.withdrawal(demand, dora.key, dora.coop))
    b.live("bids and reveals fall with the demand", [*all_, "sealed auction gone"],
           [*known, "sealed auction gone"])  # fmt: skip


def _consents(b: Shelf, known: list[str], people: dict[str, Member]) -> None:
    w, (dora, emil, fanny) = b.world, people.values()
    whole = b.put("bundle", c.bundle(w, dora, [dora, emil]))
    given = [*known, "bundle"]
    b.case("a bundle by one of its providers", known, "bundle")
    _refused(b, "a bundle by somebody else", known, c.bundle(w, fanny, [dora, emil]), "party")
    b.put("part of emil", c.upon(w, "bundle_part", emil, whole, dora))
    b.case("a provider's consent", given, "part of emil")
    b.case("a consent to what is not known", known, "part of emil", "ref_missing")
    _refused(b, "the consent of somebody else", given, c.upon(w, "bundle_part", fanny, whole, dora),
             "party")  # fmt: skip
    _refused(b, "a consent to another bundle", given,
             c.upon(w, "bundle_part", emil, whole, dora, bundle=bytes(32)), "thing")  # fmt: skip
    b.put("bundle revised", c.bundle(w, dora, [dora, emil], rev=1, series=whole.header.series))
    b.live("a revised bundle asks again", [*given, "part of emil", "bundle revised"],
           [*known, "bundle revised"])  # fmt: skip
    shares = [(dora, 2), (emil, 1)]
    group = b.put("organisation", c.organisation(w, dora, shares))
    b.case("a micro-organisation by one of its members", known, "organisation")
    _refused(b, "a micro-organisation by somebody else", known, c.organisation(w, fanny, shares),
             "party")  # fmt: skip
    b.put("member emil", c.upon(w, "organisation_part", emil, group, dora))
    given = [*known, "organisation"]
    b.case("a member's consent", given, "member emil")
    _refused(b, "a stranger's consent to a micro-organisation", given,
             c.upon(w, "organisation_part", fanny, group, dora), "party")  # fmt: skip
    _refused(b, "a consent that rests on a bundle", [*known, "bundle"],
             c.upon(w, "organisation_part", emil, whole, dora), "kind")  # fmt: skip
    b.put("organisation revised", c.organisation(w, dora, [(dora, 1), (emil, 1)], rev=1,
          series=group.header.series))  # fmt: skip
    b.live("other shares ask again", [*given, "member emil", "organisation revised"],
           [*known, "organisation revised"])  # fmt: skip


def _moves(b: Shelf, people: dict[str, Member]) -> None:
    w, dora = b.world, people["dora"]
    there = w.make_member(2, "dora there", key="coop 1/dora")
    assert there.key.public == dora.key.public
    b.put("dora there", w.membership(there))
    b.put("move", c.move(w, dora, there))
    given = ["profile 1", "profile 2", "dora", "dora there"]
    b.case("a move", given, "move")
    b.case("a move before the new coop vouches", given[:3], "move", "membership_missing")
    b.case("a move of whom the old coop does not know", ["profile 1", "profile 2", "dora there"],
           "move", "membership_missing")  # fmt: skip
    _refused(b, "a move of somebody else", [*given, "emil"],
             c.move(w, dora, there, by=people["emil"]), "party")  # fmt: skip
    stranger = w.make_member(2, "somebody there")
    b.put("somebody there", w.membership(stranger))
    _refused(b, "a move to be somebody else", [*given, "somebody there"],
             c.move(w, dora, stranger), "to")  # fmt: skip
    short = b.put("dora there, ten days", w.membership(there, at=w.now - DAY, days=11, rev=1))
    given = [*given[:3], "dora there, ten days"]
    b.case("a move that outlives the new membership", given, "move", "membership_expired")
    b.put("short move", c.move(w, dora, there, until=short.header.until))
    b.case("a move as long as the new membership", given, "short move")
    b.put("dora left", w.membership(
        dora, status="revoked", revoked={"reason": "left", "until_at": w.now}, rev=1, at=w.now
    ))  # fmt: skip
    b.case("a move stays when the person has left",
           ["profile 1", "profile 2", "dora left", "dora there"], "move")  # fmt: skip
    b.put("dora there, gone", w.withdrawal(
        b.records["dora there"], w.coops[2].node, w.coops[2], rev=2
    ))  # fmt: skip
    both = ["profile 1", "profile 2", "dora", "dora there", "move"]
    b.live("a move falls with the new membership", [*both, "dora there, gone"],
           [*both[:3], "dora there, gone"])  # fmt: skip


def _vouching(b: Shelf) -> None:
    w = b.world
    old, new = w.make_member(0, "gina"), w.make_member(0, "gina again", person="gina")
    other = w.make_member(0, "gina, tablet", person="gina")
    hugo = w.make_member(0, "hugo")
    for label, member in (("gina", old), ("gina again", new), ("hugo", hugo), ("tablet of gina", other)):  # noqa: E501
        b.put(label, w.membership(member))
    word = b.put("vouching", c.vouching(w, old, new))
    given = ["profile 0", "gina", "gina again", "hugo", "tablet of gina", "vouching"]
    b.case("a coop vouches for a key", given[:1], "vouching")
    b.put("contest", c.contest(w, old, word))
    b.case("the person contests", given, "contest")
    b.case("a contest of what is not known", given[:5], "contest", "ref_missing")
    _refused(b, "somebody else contests", given, c.contest(w, hugo, word), "party")
    last = word.header.at + 8 * DAY
    in_time = c.vouching(w, old, new, at=w.now - 9 * DAY)
    b.put("vouching of 9 days ago", in_time)
    last = in_time.header.at + 8 * DAY
    early = ["profile 0", "gina", "vouching of 9 days ago"]
    b.put("contest of the last second", c.contest(w, old, in_time, at=last))
    b.case("contested in the last second", early, "contest of the last second")
    _refused(b, "contested a second late", early, c.contest(w, old, in_time, at=last + 1), "closed")
    lost: dict[str, Any] = {"reason": "lost", "until_at": w.now - 6 * DAY}
    b.put("gina, lost", w.membership(old, status="revoked", revoked=lost, rev=1, at=w.now))
    b.put("tablet of gina, lost", w.membership(
        other, status="revoked", revoked=lost, rev=1, at=w.now
    ))  # fmt: skip
    b.put("tablet of gina, suspended", w.membership(
        other, status="suspended", rev=2, at=w.now - 6 * DAY
    ))  # fmt: skip
    gone = ["profile 0", "gina, lost", "gina again", "vouching"]
    b.case("the key that is said to be lost contests", gone, "contest")
    b.put("offer of the lost key", w.offer(old))
    b.case("and signs nothing else", gone, "offer of the lost key", "membership_revoked")
    b.put("contest by the tablet", c.contest(w, other, word))
    b.case("another key of the person contests", given, "contest by the tablet")
    for status in ("lost", "suspended"):
        b.case(f"another key, {status}, does not", [*gone, f"tablet of gina, {status}"],
               "contest by the tablet", "membership_revoked")  # fmt: skip
    b.put("tablet of gina, suspended now", w.membership(
        other, status="suspended", rev=3, at=w.now, status_since=w.now
    ))  # fmt: skip
    b.put("contest by the tablet yesterday", c.contest(w, other, word, at=w.now - DAY))
    b.case("another key, before it is suspended", [*gone, "tablet of gina, suspended now"],
           "contest by the tablet yesterday")  # fmt: skip
    b.case("another key, in the second in which it is", [*gone, "tablet of gina, suspended now"],
           "contest by the tablet", "membership_revoked")  # fmt: skip
    b.live("the contest of a lost key is live", [*gone, "contest"], [*gone, "contest"])


def _step(w: World, kind: str, by: Member | Coop, **header: Any) -> Signed:
    coop, key = (by.coop, by.key) if isinstance(by, Member) else (by, by.node)
    fields = {name: value for name, value in sample(KINDS[kind].schema).items() if name != "salt"}
    if kind == "quote":
        fields["valid_until"] = header.get("at", w.now) + DAY
    refs = (fields["exchange"],) if "exchange" in fields else ()
    payload = build(kind, salt=w.fresh(), **fields)
    return w.record(kind, payload, coop=coop, by=key, refs=refs, **header)


def steps(b: Shelf) -> None:
    """Fill in who may sign the steps of an exchange: nobody else than for other records."""
    w = b.world
    dora = w.make_member(1, "dora")
    given = ["profile 0", "profile 1", "dora"]
    b.put("message", _step(w, "message", dora))
    b.case("a step by a member", given, "message")
    b.case("a step by nobody's key", given[:2], "message", "membership_missing")
    b.put("quote of the coop", _step(w, "quote", w.coops[1]))
    b.case("a step by a coop", given, "quote of the coop")
    b.put("evaluation of the coop", _step(w, "evaluation", w.coops[1]))
    b.case("an evaluation by a coop", given, "evaluation of the coop", "not_allowed")
    for kind in ("bundle_decision", "relay_request", "relay_ack"):
        b.put(f"{kind} of dora", _step(w, kind, dora))
        b.case(f"{kind} by a member", given, f"{kind} of dora", "not_allowed")
        b.put(f"{kind} of the coop", _step(w, kind, w.coops[1]))
        b.case(f"{kind} by a node", given, f"{kind} of the coop")
    b.put("dora, suspended", w.membership(dora, status="suspended", at=w.now - DAY, rev=5))
    known = [*given[:2], "dora, suspended"]
    b.case("a step while suspended", known, "message", "membership_revoked")
    b.put("message of 2 days ago", _step(w, "message", dora, at=w.now - 2 * DAY))
    b.case("a step before the suspension", known, "message of 2 days ago")
    b.put("dora, ten days", w.membership(dora, at=w.now - DAY, days=10, rev=6))
    b.case("a step that outlives the membership", [*given[:2], "dora, ten days"], "message",
           "membership_expired")  # fmt: skip
    helper = w.make_member(0, "helper of dora")
    b.put("helper of dora", w.membership(helper))
    kinds = ("message", "agreement", "offer")
    mandate = b.put("mandate for steps", w.mandate(dora, helper, kinds=kinds))
    thing = w.mandate_thing(dora, mandate)
    known = [*given, "helper of dora", "mandate for steps"]
    b.put("agreement for dora", _step(w, "agreement", helper, as_=thing))
    b.case("a step under a mandate", known, "agreement for dora")
    b.case("a step under a mandate that is not known", known[:4], "agreement for dora",
           "mandate_missing")  # fmt: skip
    b.put("acceptance for dora", _step(w, "acceptance", helper, as_=thing))
    b.case("a step that the mandate does not name", known, "acceptance for dora", "mandate_scope")
    b.put("mandate for steps, but", w.mandate(
        dora, helper, kinds=kinds, forbidden=["agreement"], rev=1, series=mandate.header.series
    ))  # fmt: skip
    b.case("a step that the mandate forbids", [*known, "mandate for steps, but"],
           "agreement for dora", "mandate_scope")  # fmt: skip
    b.put("mandate for steps, revoked", w.mandate(
        dora, helper, kinds=kinds, rev=2, series=mandate.header.series, at=w.now - HOUR,
        start=w.now - 5 * DAY, revoked=True,
    ))  # fmt: skip
    b.case("a step under a mandate that was revoked", [*known, "mandate for steps, revoked"],
           "agreement for dora", "mandate_revoked")  # fmt: skip
    b.live("a step is in no live set", [*known, "message", "agreement for dora"], known)
