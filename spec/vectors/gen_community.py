"""Make the vectors of spec/08-community: what live records mean together."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from maillon.protocol.auctions import Outcome, commitment, lot, lot_of, winner
from maillon.protocol.bundles import approved, waiting_for
from maillon.protocol.calendars import free
from maillon.protocol.envelope import Signed, Valid
from maillon.protocol.errors import NotAllowed
from maillon.protocol.limits import INT_MAX, RELAY_SLACK_S
from maillon.protocol.moving import past, present, vouching_stands
from maillon.protocol.records import DAY_S, build, thing_id
from maillon.protocol.records.fields import PROVIDER_STATUS
from maillon.protocol.records.market import asked_of
from maillon.protocol.records.schema import OneOf
from maillon.protocol.relays import check_answer, check_request, in_time
from maillon.protocol.splitting import group_shares, shares
from maillon.protocol.statuses import require_allowed
from maillon.protocol.view import coop_author, person_author
from support import community as c
from support.world import Member, World

Vector = dict[str, object]
DAY = DAY_S


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the content of the file."""
    return {
        "community.json": {
            "about": "spec/08-community: what live records mean together. Every record here counts "
            "as live; who its author is stands beside it where it matters.",
            "commitments": list(_commitments(rng)),
            "lots": list(_lots(rng)),
            "auctions": list(_auctions()),
            "splits": list(_splits(rng)),
            "groups": list(_groups()),
            "consents": list(_consents()),
            "signatures": list(_signatures()),
            "moves": list(_moves()),
            "vouchings": list(_vouchings()),
            "statuses": list(_statuses()),
            "tariffs": list(_tariffs()),
            "calendars": list(_calendars()),
            "relay_requests": list(_relay_requests()),
            "relay_answers": list(_relay_answers()),
        }
    }


def _commitments(rng: random.Random) -> Iterator[Vector]:
    for amount in (0, 1, 127, 128, 60_000, 10**12):
        demand, nonce = rng.randbytes(32), rng.randbytes(32)
        yield {"name": f"{amount}", "demand": demand, "amount": amount, "nonce": nonce,
               "commit": commitment(demand, amount, nonce)}  # fmt: skip


def _lots(rng: random.Random) -> Iterator[Vector]:
    for at in range(3):
        secret, bid = rng.randbytes(32), rng.randbytes(32)
        yield {"name": f"{at}", "secret": secret, "bid": bid, "lot": lot(secret),
               "draw": lot_of(secret, bid)}  # fmt: skip


# --- Auctions ------------------------------------------------------------------------------------


def valid(member: Member, signed: Signed) -> Valid:
    """Take a record for live."""
    return Valid(signed, member.author, thing_id(member.author, signed.header.series), "member")


def _told(outcome: Outcome) -> Vector:
    return {
        "winner": None if outcome.winner is None else outcome.winner.id,
        "amount": None if outcome.winner is None else outcome.winner.amount,
        "ranking": [bid.id for bid in outcome.ranking],
        "tied": outcome.tied,
        "missing": list(outcome.missing),
        "unopened": list(outcome.unopened),
        "omitted": list(outcome.omitted),
        "award_right": outcome.award_right,
    }


class Auction:
    """One auction with its records; `case` says what they come to."""

    def __init__(self, seed: str, *, sealed: bool = False, limit: int | None = None) -> None:
        self.w = World(seed=f"community {seed}")
        self.owner = self.w.make_member(0, "dora")
        self.bidders = [self.w.make_member(1, f"bidder {at}") for at in range(5)]
        self.demand = c.auction(self.w, self.owner, sealed=sealed, limit=limit)

    def bids(self, *amounts: int) -> list[Signed]:
        """Make an open bid of each bidder."""
        return [c.bid(self.w, who, self.demand, self.owner, amount)
                for who, amount in zip(self.bidders, amounts, strict=False)]  # fmt: skip

    def sealed(self, *amounts: int) -> tuple[list[Signed], list[Signed]]:
        """Make a sealed bid of each bidder, and its reveal."""
        made: list[Signed] = []
        opened: list[Signed] = []
        for who, amount in zip(self.bidders, amounts, strict=False):
            nonce = self.w.derive(f"nonce {who.name}", 32)
            bid = c.sealed_bid(self.w, who, self.demand, self.owner, amount, nonce)
            made.append(bid)
            opened.append(c.reveal(self.w, who, bid, amount, nonce))
        return made, opened

    def case(
        self,
        name: str,
        bids: Sequence[Signed],
        *,
        close: Sequence[Signed] | None = None,
        reveals: Sequence[Signed] = (),
        award: tuple[Signed | None, Sequence[Signed]] | None = None,
    ) -> Vector:
        """State an auction: live bids and reveals, whom the close lists, what the award says."""
        closing = None if close is None else c.close(self.w, self.owner, self.demand, close)
        final = None
        if award is not None:
            final = c.award(self.w, self.owner, self.demand, award[0], award[1])
        outcome = winner(
            valid(self.owner, self.demand),
            None if closing is None else valid(self.owner, closing),
            [valid(self.bidders[0], bid) for bid in bids],
            [valid(self.bidders[0], reveal) for reveal in reveals],
            None if final is None else valid(self.owner, final),
        )
        return {
            "name": name,
            "demand": self.demand.encode(),
            "bids": [bid.encode() for bid in bids],
            "reveals": [reveal.encode() for reveal in reveals],
            "close": None if closing is None else closing.encode(),
            "award": None if final is None else final.encode(),
            **_told(outcome),
        }


def _auctions() -> Iterator[Vector]:
    a = Auction("open")
    b = a.bids(70, 50, 60)
    yield a.case("not closed yet", b)
    yield a.case("the lowest price wins", b, close=b)
    yield a.case("and is awarded", b, close=b, award=(b[1], []))
    yield a.case("another one is awarded", b, close=b, award=(b[2], []))
    yield a.case("nobody is awarded, though there are bids", b, close=b, award=(None, []))
    yield a.case("nobody bid", [], close=[])
    yield a.case("nobody bid, and nobody wins", [], close=[], award=(None, []))
    yield a.case("the close leaves the best out", b, close=[b[0], b[2]], award=(b[2], []))
    yield a.case("the winner took its bid back", [b[0], b[2]], close=b, award=(b[1], []))
    yield a.case("one that lost took its bid back", b[1:], close=b, award=(b[1], []))
    yield a.case("an award without a close", b, award=(b[1], []))
    foreign = Auction("elsewhere")
    yield a.case("bids of another auction", [*b, *foreign.bids(1)], close=b)
    a = Auction("tie")
    b = a.bids(50, 50, 60, 50)
    yield a.case("a tie waits for the secret", b, close=b)
    first = min((b[0], b[1], b[3]), key=lambda bid: lot_of(c.SECRET, bid.id))
    other = next(bid for bid in (b[0], b[1], b[3]) if bid is not first)
    yield a.case("a tie goes to the lot", b, close=b, award=(first, []))
    yield a.case("the award passes over the lot", b, close=b, award=(other, []))
    a = Auction("one bidder twice")
    again = c.bid(a.w, a.bidders[0], a.demand, a.owner, 40)
    b = [*a.bids(50, 45), again]
    yield a.case("a bidder lowers its price by another bid", b, close=b)
    a = Auction("free")
    b = a.bids(0, 1)
    yield a.case("a price of nothing", b, close=b)
    a = Auction("sealed", sealed=True, limit=100)
    b, r = a.sealed(70, 50, 60)
    yield a.case("sealed, before the award", b, close=b, reveals=r)
    yield a.case("sealed, awarded", b, close=b, reveals=r, award=(b[1], r))
    yield a.case("a bid is not opened", b, close=b, reveals=r[::2], award=(b[2], r[::2]))
    yield a.case("the award leaves a reveal out", b, close=b, reveals=r, award=(b[2], [r[0], r[2]]))
    yield a.case("the award names a reveal that is not there", b, close=b, reveals=r[:2],
                 award=(b[1], r))  # fmt: skip
    yield a.case("the close leaves a sealed bid out", b, close=b[:2], reveals=r, award=(b[1], r))
    yield a.case("a bid is gone that was opened", b[::2], close=b, reveals=r, award=(b[2], r))
    yield a.case("an award that names no reveal", b, close=b, reveals=r, award=(None, []))
    a = Auction("sealed tie", sealed=True)
    b, r = a.sealed(50, 50)
    first = min(b, key=lambda bid: lot_of(c.SECRET, bid.id))
    yield a.case("a tie of sealed bids", b, close=b, reveals=r, award=(first, r))


# --- Splits --------------------------------------------------------------------------------------


def _members(parts: Sequence[tuple[bytes, int]]) -> list[dict[str, object]]:
    return [{"author": author, "share": share} for author, share in parts]


def _splits(rng: random.Random) -> Iterator[Vector]:
    who = [person_author(bytes([at]) * 32, bytes([at]) * 16) for at in range(5)]
    cases = [
        ("in three equal parts", 100, [(who[0], 1), (who[1], 1), (who[2], 1)]),
        ("the order does not matter", 100, [(who[2], 1), (who[0], 1), (who[1], 1)]),
        ("two left over", 101, [(who[0], 1), (who[1], 1), (who[2], 1)]),
        ("the largest remainder", 10, [(who[0], 1), (who[1], 2), (who[2], 4)]),
        ("nothing", 0, [(who[0], 1), (who[1], 1)]),
        ("one unit", 1, [(who[0], 1), (who[1], 2)]),
        ("a share of nothing", 7, [(who[0], 0), (who[1], 1), (who[2], 1)]),
        ("one for all", 99, [(who[3], 1_000_000)]),
        ("the greatest amount", INT_MAX, [(who[0], 999_999), (who[1], 1_000_000), (who[2], 7)]),
        ("a coop among them", 5, [(coop_author(bytes(32)), 1), (who[0], 1)]),
    ]
    for at in range(6):
        parts = [(author, rng.randrange(0, 50) + (author == who[0])) for author in who]
        cases.append((f"drawn {at}", rng.randrange(10**6), parts))
    for name, amount, parts in cases:
        yield {"name": name, "amount": amount, "members": _members(parts),
               "units": [units for _, units in shares(amount, parts)]}  # fmt: skip


def _groups() -> Iterator[Vector]:
    who = [person_author(bytes([at]) * 32, bytes([at]) * 16) for at in range(3)]
    parts = [(who[0], 3), (who[1], 1), (who[2], 0)]
    for name, split, performer in (
        ("by share", "shares", None),
        ("alike", "equal", None),
        ("to who did it", "performer", who[2]),
    ):
        yield {
            "name": name, "amount": 101, "members": _members(parts), "split": split,
            "performer": performer,
            "units": [{"author": author, "units": units}
                      for author, units in group_shares(101, parts, split, performer)],
        }  # fmt: skip


# --- Consents, moves, vouchings ------------------------------------------------------------------


def _with(member: Member, signed: Signed) -> Vector:
    return {"record": signed.encode(), "author": member.author}


def _consents() -> Iterator[Vector]:
    w = World(seed="community consents")
    dora, emil, fanny = (w.make_member(1, name) for name in ("dora", "emil", "fanny"))
    whole = c.bundle(w, dora, [dora, emil, fanny, emil])
    earlier = c.bundle(w, dora, [dora, emil])
    group = c.organisation(w, emil, [(dora, 1), (emil, 1)])
    part = {who.name: c.upon(w, "bundle_part", who, whole, dora) for who in (dora, emil, fanny)}
    old = c.upon(w, "bundle_part", fanny, earlier, dora)
    poem = w.record("poem", {"salt": bytes(16)}, coop=emil.coop, by=emil.key, refs=(whole.id,))
    for name, owner, of, parts in (
        ("nobody yet", dora, whole, []),
        ("something of a later kind", dora, whole, [(emil, poem), (fanny, part["fanny"])]),
        ("one of two", dora, whole, [(emil, part["emil"])]),
        ("all", dora, whole, [(fanny, part["fanny"]), (emil, part["emil"])]),
        ("the author too", dora, whole, [(dora, part["dora"]), (emil, part["emil"])]),
        ("to another revision", dora, whole, [(fanny, old), (emil, part["emil"])]),
        ("a group, nobody yet", emil, group, []),
        ("a group, all", emil, group, [(dora, c.upon(w, "organisation_part", dora, group, emil))]),
    ):
        yield {
            "name": name,
            "whole": _with(owner, of),
            "parts": [_with(who, one) for who, one in parts],
            "waiting_for": list(waiting_for(valid(owner, of), [valid(*pair) for pair in parts])),
        }


def _signatures() -> Iterator[Vector]:
    w = World(seed="community signatures")
    people = [w.make_member(1, name) for name in ("dora", "emil", "fanny")]
    stranger = w.make_member(2, "stranger")
    group = c.organisation(w, people[0], [(who, 1) for who in people], signatures=2)
    for name, yes in (
        ("nobody", []),
        ("one of two", people[:1]),
        ("one of two, twice", [people[0], people[0]]),
        ("one and a stranger", [people[0], stranger]),
        ("two", people[1:]),
        ("all", people),
    ):
        authors = [who.author for who in yes]
        yield {"name": name, "organisation": group.encode(), "approvals": authors,
               "approved": approved(valid(people[0], group), authors)}  # fmt: skip


def _moves() -> Iterator[Vector]:
    w = World(seed="community moves")
    here, there, yonder = (
        w.make_member(at, f"dora {at}", key="coop 0/dora") for at in range(3)
    )
    there_to_yonder = c.move(w, there, yonder, at=w.now - 2 * DAY)
    first = c.move(w, here, there, at=w.now - 5 * DAY)
    back = c.move(w, there, here, at=w.now - DAY)
    emil = w.make_member(0, "emil")
    joining = c.move(w, emil, there, at=w.now - 3 * DAY)
    for name, moves in (
        ("none", []),
        ("one", [first]),
        ("two", [there_to_yonder, first]),
        ("there and back", [first, back]),
        ("two persons who became one", [first, joining, there_to_yonder]),
    ):
        owners = [valid(here, move) for move in moves]
        yield {
            "name": name,
            "moves": [move.encode() for move in moves],
            "authors": [
                {"author": who.author, "present": present(who.author, owners),
                 "past": sorted(past(who.author, owners))}
                for who in (here, there, yonder, emil)
            ],
        }  # fmt: skip


def _vouchings() -> Iterator[Vector]:
    w = World(seed="community vouchings")
    old, new = w.make_member(0, "gina"), w.make_member(0, "gina again", person="gina")
    word, other = c.vouching(w, old, new), c.vouching(w, old, new, at=w.now - 6 * DAY)
    end = word.header.at + 8 * DAY
    for name, contests, now in (
        ("at once", [], w.now),
        ("in the last second", [], end),
        ("afterwards", [], end + 1),
        ("contested", [c.contest(w, old, word)], w.now),
        ("contested, afterwards", [c.contest(w, old, word)], end + 1),
        ("another one is contested", [c.contest(w, old, other)], end + 1),
    ):
        yield {"name": name, "vouching": word.encode(), "now": now,
               "contests": [contest.encode() for contest in contests],
               "stands": vouching_stands(
                   valid(old, word), [valid(old, contest) for contest in contests], now
               )}  # fmt: skip


# --- Statuses and tariffs ------------------------------------------------------------------------


def _statuses() -> Iterator[Vector]:
    units = {"heure": "hours", "graine": "credit", "coup-de-main": "count"}
    assert isinstance(PROVIDER_STATUS, OneOf)
    returns: list[dict[str, Any]] = [
        {"kind": "amount", "unit": unit, "amount": 60} for unit in (*units, "inconnue")
    ]
    returns += [{"kind": kind} for kind in ("count_only", "gift", "free", "outside")]
    for status in (None, *PROVIDER_STATUS.values):
        for given in returns:
            refused = False
            try:
                require_allowed(given, status, units)
            except NotAllowed:
                refused = True
            yield {"name": f"{status} for {given.get('unit', given['kind'])}", "status": status,
                   "units": units, "terms": given,
                   "expect": "not_allowed" if refused else "ok"}  # fmt: skip


def _tariffs() -> Iterator[Vector]:
    own = {"kind": "amount", "unit": "graine", "amount": 900}
    members = {"kind": "amount", "unit": "heure", "amount": 60}
    elders = {"kind": "gift"}
    offer: dict[str, Any] = {"reciprocity": own, "tariffs": [
        {"audience": "elders", "reciprocity": elders},
        {"audience": "members", "reciprocity": members},
    ]}  # fmt: skip
    for name, given, audiences in (
        ("one price for all", {"reciprocity": own}, ["members"]),
        ("nobody in particular", offer, []),
        ("members", offer, ["members"]),
        ("the first that fits", offer, ["members", "elders"]),
        ("others", offer, ["outsiders"]),
    ):
        yield {"name": name, "offer": given, "audiences": audiences,
               "asked": dict(asked_of(given, audiences))}  # fmt: skip


def _calendars() -> Iterator[Vector]:
    payload: dict[str, Any] = {"busy": [[100, 200], [300, 400]], "until": 500}
    for name, start, end in (
        ("before all", 0, 99),
        ("to the second in which the first begins", 0, 100),
        ("within the first", 120, 130),
        ("around the first", 50, 250),
        ("from the second in which the first ends", 200, 250),
        ("between the two", 201, 299),
        ("up to the end", 401, 500),
        ("beyond the end", 401, 501),
        ("taken, and beyond the end", 350, 501),
        ("a second", 250, 250),
        ("backwards", 299, 201),
    ):
        yield {"name": name, "freebusy": payload, "start": start, "end": end,
               "free": free(payload, start, end)}  # fmt: skip


# --- Relays --------------------------------------------------------------------------------------


def _relayed(w: World, kind: str, coop: int, **fields: Any) -> Signed:
    where, life = w.coops[coop], fields.pop("days", 10)
    payload = build(kind, salt=w.fresh(), **fields)
    return w.record(kind, payload, coop=where, by=where.node, days=life)


def _relay_requests() -> Iterator[Vector]:
    w = World(3, seed="relay requests")
    demand = w.derive("demand", 32)
    for name, brought_by, life, deadline in (
        ("an hour to answer", 0, 10, w.now + 3_600),
        ("a second to answer", 0, 10, w.now + 1),
        ("as long as the request", 0, 10, w.now + 10 * DAY),
        ("a deadline at its own time", 0, 10, w.now),
        ("a deadline before its own time", 0, 10, w.now - 1),
        ("a second longer than the request", 0, 10, w.now + 10 * DAY + 1),
        ("brought by another coop", 1, 10, w.now + 3_600),
    ):
        request = _relayed(w, "relay_request", 0, demand=demand, deadline=deadline, days=life)
        coop = w.coops[brought_by].id
        case: Vector = {"name": name, "request": request.encode(), "brought_by": coop}
        try:
            check_request(request, coop)
        except NotAllowed as fault:
            yield {**case, "expect": fault.code, "rule": fault.facts["rule"]}
        else:
            yield {**case, "expect": "ok", "id": request.id}


def _relay_answers() -> Iterator[Vector]:
    w = World(3, seed="relay answers")
    demand, end = w.derive("demand", 32), w.now + 600
    request = _relayed(w, "relay_request", 0, demand=demand, deadline=end)
    said = {"request": request.id, "demand": demand}

    def answer(coop: int = 1, *, taken: bool = True, **changes: Any) -> Signed:
        return _relayed(w, "relay_ack", coop, **{**said, **changes}, taken=taken)

    other = w.derive("something else", 32)
    letters: list[tuple[str, list[tuple[Signed, int, int]]]] = [
        ("taken at once", [(answer(), 1, w.now)]),
        ("refused", [(answer(taken=False), 1, w.now)]),
        ("at the last second", [(answer(), 1, end)]),
        ("a letter's way later", [(answer(), 1, end + RELAY_SLACK_S)]),
        ("too late, which counts all the same", [(answer(), 1, end + RELAY_SLACK_S + 1)]),
        ("refused, then taken: the first counts",
         [(answer(taken=False), 1, w.now), (answer(), 1, w.now + 1)]),
        ("the same answer twice", [(one := answer(), 1, w.now), (one, 1, w.now + 1)]),
        ("of a coop that was not asked", [(answer(2), 2, w.now)]),
        ("of the relay, brought by another coop", [(answer(), 2, w.now)]),
        ("of another coop, brought by the relay", [(answer(2), 1, w.now)]),
        ("to another request", [(answer(request=other), 1, w.now)]),
        ("about another demand", [(answer(demand=other), 1, w.now)]),
        ("about another demand, then about this one",
         [(answer(demand=other), 1, w.now), (answer(), 1, w.now + 1)]),
        ("none", []),
    ]  # fmt: skip
    for name, brought in letters:
        counted: tuple[Signed, int] | None = None
        outcomes: list[str] = []
        for signed, by, at in brought:
            try:
                check_answer(signed, request, w.coops[1].id, w.coops[by].id)
            except NotAllowed as fault:
                outcomes.append(str(fault.facts["rule"]))
                continue
            outcomes.append("counts" if counted is None else "later")
            counted = counted or (signed, at)
        payload: Any = None if counted is None else counted[0].payload
        yield {
            "name": name,
            "request": request.encode(),
            "asked": w.coops[1].id,
            "letters": [
                {"answer": signed.encode(), "brought_by": w.coops[by].id, "at": at}
                for signed, by, at in brought
            ],
            "outcomes": outcomes,
            "taken": None if payload is None else payload["taken"],
            "in_time": None if counted is None else in_time(request, counted[1]),
        }
