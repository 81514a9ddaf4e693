"""What people do with each other's records: auctions, bids, co-signatures, bundles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from maillon.protocol.auctions import commitment
from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S, build, thing_id
from support.world import Member

if TYPE_CHECKING:
    from simulation.federation import Federation
    from simulation.node import SimNode
    from simulation.plan import Person

Deal = Callable[["Federation", "Person", Member, "SimNode"], None]

SECRET = bytes(32)


def _seen(where: SimNode, kind: str) -> list[Signed]:
    """Return the live records of a kind that a machine shows people, in one order for all runs."""
    live = where.disk.live_records()
    return [live[id] for id in sorted(live) if live[id].header.kind == kind]


def _thing(where: SimNode, signed: Signed) -> bytes | None:
    author = where.engine.view.author_of(signed.header, signed.id)
    return None if author is None else thing_id(author, signed.header.series)


def _fields(signed: Signed) -> dict[str, Any]:
    assert signed.payload is not None
    return dict(signed.payload)


def _give(
    f: Federation, person: Person, member: Member, where: SimNode, kind: str, base: Signed,
    **fields: Any
) -> Signed | None:  # fmt: skip
    at = f.now_at(where)
    until = min(person.until, at + 15 * DAY_S)
    if until <= at:
        return None
    signed = f.world.record(
        kind, build(kind, salt=f.world.fresh(), **fields), coop=member.coop, by=member.key,
        at=at, until=until, refs=(base.id,),
    )  # fmt: skip
    return signed if f.give(where, signed, kind) else None


def auction(f: Federation, person: Person, member: Member, where: SimNode) -> None:
    """Ask for bids, open or sealed, for some minutes."""
    at = f.now_at(where)
    closes = at + f.rng.randint(20, 200)
    terms: dict[str, Any] = {"form": "open", "closes": closes, "lot": f.world.derive("lot", 32)}
    if f.rng.random() < 0.5:
        terms |= {"form": "sealed", "reveal_until": closes + f.rng.randint(20, 300)}
    until = min(person.until, at + 20 * DAY_S)
    if until <= terms.get("reveal_until", closes):
        return
    price: dict[str, Any] = {"kind": "auction", "unit": "heure"}
    if f.rng.random() < 0.3:
        price["amount"] = 50
    signed = f.world.demand(member, at=at, until=until, reciprocity=price, auction=terms)
    person.untils[signed.header.series] = until
    if f.give(where, signed, "auction"):
        person.things.append(signed)


def answer(f: Federation, person: Person, member: Member, where: SimNode) -> None:
    """Bid for a demand, or share it; sometimes one's own, which nobody may."""
    asked = _seen(where, "demand")
    if not asked:
        return
    base = f.rng.choice(asked)
    thing = _thing(where, base)
    if thing is None:
        return
    terms = _fields(base).get("auction")
    if terms is None or f.rng.random() < 0.1:
        _give(f, person, member, where, "cosignature", base, demand=thing)
        return
    amount = f.rng.randint(1, 60)
    if terms["form"] == "open":
        _give(f, person, member, where, "bid", base, demand=thing, amount=amount)
        return
    nonce = f.world.fresh(32)
    hidden = commitment(thing, amount, nonce)
    made = _give(f, person, member, where, "bid", base, demand=thing, commit=hidden)
    if made is not None:
        person.sealed[made.id] = (amount, nonce)


def reveal(f: Federation, person: Person, member: Member, where: SimNode) -> None:
    """Open a sealed bid, whether it is time or not, and sometimes wrongly."""
    bids = [bid for bid in _seen(where, "bid") if bid.id in person.sealed]
    if not bids:
        return
    bid = f.rng.choice(bids)
    amount, nonce = person.sealed[bid.id]
    amount += f.rng.random() < 0.1
    _give(f, person, member, where, "bid_reveal", bid, bid=bid.id, amount=amount, nonce=nonce)


def close(f: Federation, person: Person, member: Member, where: SimNode) -> None:
    """Close an auction, mostly one's own."""
    asked = [demand for demand in _seen(where, "demand") if "auction" in _fields(demand)]
    if not asked:
        return
    base = f.rng.choice(asked)
    thing = _thing(where, base)
    if thing is not None:
        bids = [bid.id for bid in _seen(where, "bid") if bid.header.refs == (base.id,)]
        _give(f, person, member, where, "auction_close", base, demand=thing, bids=bids[:400])


def bundle(f: Federation, person: Person, member: Member, where: SimNode) -> None:
    """Offer one whole with others, of whom one may not even be there."""
    others = [f.rng.choice(f.people).member for _ in range(2)] + [f.world.make_member(0, "nobody")]
    providers = [member, *others] if f.rng.random() < 0.9 else others
    parts = [{"provider": who.author, "title": f"Part {at}"} for at, who in enumerate(providers)]
    at = f.now_at(where)
    until = min(person.until, at + 20 * DAY_S)
    if until <= at:
        return
    payload = build(
        "bundle", salt=f.world.fresh(), title="Ensemble", lang="fr", categories=["aide"],
        parts=parts,
    )  # fmt: skip
    signed = f.world.record(
        "bundle", payload, coop=member.coop, by=member.key, at=at, until=until
    )
    f.give(where, signed, "bundle")


def consent(f: Federation, person: Person, member: Member, where: SimNode) -> None:
    """Consent to a bundle, mostly to one that names the person."""
    wholes = _seen(where, "bundle")
    if not wholes:
        return
    naming = [
        whole for whole in wholes
        if any(part["provider"] == member.author for part in _fields(whole)["parts"])
    ]  # fmt: skip
    base = f.rng.choice(naming if naming and f.rng.random() < 0.9 else wholes)
    thing = _thing(where, base)
    if thing is not None:
        _give(f, person, member, where, "bundle_part", base, bundle=thing)


DEALINGS: dict[str, Deal] = {
    "auction": auction,
    "answer": answer,
    "reveal": reveal,
    "close": close,
    "bundle": bundle,
    "consent": consent,
}
"""What people may do with each other's records."""
