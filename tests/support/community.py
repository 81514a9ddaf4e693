"""Make records that rest on others, in a world: auctions, bundles, groups, moves, contests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from maillon.protocol.auctions import commitment
from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S, build, thing_id
from support.world import Coop, Member, World

SECRET = hashlib.sha256(b"the secret of the lot").digest()
HOUR = 3_600


def thing_of(author: Member | Coop, record: Signed) -> bytes:
    """Return the thing id of what somebody published."""
    return thing_id(author.author, record.header.series)


def auction(
    w: World, member: Member, *, sealed: bool = False, secret: bytes = SECRET,
    limit: int | None = None, at: int | None = None, **fields: Any
) -> Signed:  # fmt: skip
    """Make a demand with a reverse auction: asked 3 days ago, closed 2 days ago, opened by
    yesterday."""
    when = w.now - 3 * DAY_S if at is None else at
    terms: dict[str, Any] = {
        "form": "sealed" if sealed else "open",
        "closes": when + DAY_S,
        "lot": hashlib.sha256(secret).digest(),
    }
    if sealed:
        terms["reveal_until"] = when + 2 * DAY_S
    price: dict[str, Any] = {"kind": "auction", "unit": "heure"}
    if limit is not None:
        price["amount"] = limit
    return w.demand(member, at=when, reciprocity=price, auction=terms, **fields)


def _rest(
    w: World, kind: str, by: Member | Coop, refs: Sequence[bytes], *, at: int | None = None,
    as_: bytes = b"", rev: int = 0, until: int | None = None, key: Member | None = None,
    **fields: Any
) -> Signed:  # fmt: skip
    coop, signer = (by.coop, by.key) if isinstance(by, Member) else (by, by.node)
    return w.record(
        kind, build(kind, salt=w.fresh(), **fields), coop=coop, by=key.key if key else signer,
        at=at, refs=refs, as_=as_, rev=rev, until=until,
    )  # fmt: skip


def upon(
    w: World, kind: str, by: Member | Coop, base: Signed, owner: Member | Coop, **fields: Any
) -> Signed:
    """Make a record that rests on a revision of a demand, bundle or organisation of `owner`."""
    field = {"bundle_part": "bundle", "organisation_part": "organisation"}.get(kind, "demand")
    fields.setdefault(field, thing_of(owner, base))
    return _rest(w, kind, by, (base.id,), **fields)


def bid(w: World, by: Member | Coop, asked: Signed, owner: Member, amount: int = 60,
        **fields: Any) -> Signed:  # fmt: skip
    """Make an open bid an hour after the demand `asked`, unless `commit` makes it a sealed one."""
    fields.setdefault("at", min(asked.header.at + HOUR, w.now))
    if "commit" not in fields:
        fields["amount"] = amount
    return upon(w, "bid", by, asked, owner, **fields)


def sealed_bid(w: World, by: Member, demand: Signed, owner: Member, amount: int,
               nonce: bytes) -> Signed:  # fmt: skip
    """Make a sealed bid an hour after the demand."""
    return bid(
        w, by, demand, owner, commit=commitment(thing_of(owner, demand), amount, nonce)
    )


def reveal(w: World, by: Member, of: Signed, amount: int, nonce: bytes, **fields: Any) -> Signed:
    """Open a sealed bid, a day after the close by default."""
    fields.setdefault("at", w.now - DAY_S - HOUR)
    return _rest(w, "bid_reveal", by, (of.id,), bid=of.id, amount=amount, nonce=nonce, **fields)


def close(w: World, by: Member, demand: Signed, bids: Sequence[Signed], **fields: Any) -> Signed:
    """Close an auction, naming the bids that take part."""
    fields.setdefault("at", w.now - 2 * DAY_S + HOUR)
    owner = fields.pop("owner", by)
    return upon(w, "auction_close", by, demand, owner, bids=[b.id for b in bids], **fields)


def award(
    w: World, by: Member, demand: Signed, winner: Signed | None, reveals: Sequence[Signed] = (),
    *, secret: bytes = SECRET, **fields: Any
) -> Signed:  # fmt: skip
    """Award an auction, opening the secret."""
    owner = fields.pop("owner", by)
    if winner is not None:
        fields["winner"] = winner.id
    if reveals:
        fields["reveals"] = [r.id for r in reveals]
    fields.setdefault("at", w.now - HOUR)
    return upon(w, "award", by, demand, owner, secret=secret, **fields)


def bundle(w: World, by: Member, providers: Sequence[Member | Coop], **fields: Any) -> Signed:
    """Make a bundle of one part for each provider."""
    given: dict[str, Any] = {
        "title": "Sortie d'hôpital",
        "lang": "fr",
        "categories": ["aide"],
        "parts": [
            {"provider": who.author, "title": f"Part {at}", "unit": "heure", "amount": 60}
            for at, who in enumerate(providers)
        ],
    }
    header = {name: fields.pop(name) for name in ("at", "rev", "series") if name in fields}
    return w.record(
        "bundle", build("bundle", salt=w.fresh(), **{**given, **fields}), coop=by.coop, by=by.key,
        **header,
    )  # fmt: skip


def organisation(
    w: World, by: Member, members: Sequence[tuple[Member, int]], *, signatures: int = 2,
    **fields: Any
) -> Signed:  # fmt: skip
    """Make a micro-organisation."""
    given: dict[str, Any] = {
        "name": "Les quatre mains",
        "members": [{"author": m.author, "share": share} for m, share in members],
        "rule": {"signatures": signatures},
        "split": "shares",
        "status": "active",
    }
    header = {name: fields.pop(name) for name in ("at", "rev", "series") if name in fields}
    return w.record(
        "organisation", build("organisation", salt=w.fresh(), **{**given, **fields}),
        coop=by.coop, by=by.key, **header,
    )  # fmt: skip


def move(w: World, here: Member, there: Member, *, by: Member | None = None, at: int | None = None,
         until: int | None = None, **fields: Any) -> Signed:  # fmt: skip
    """Make a person's move from one coop to another, signed by the key of `here`."""
    given: dict[str, Any] = {"from": here.author, "to": there.author, **fields}
    signer = here if by is None else by
    return w.record(
        "move", build("move", salt=w.fresh(), **given), coop=signer.coop, by=signer.key, at=at,
        until=until, days=300,
    )  # fmt: skip


def vouching(w: World, old: Member, new: Member, **fields: Any) -> Signed:
    """Make a coop's word that the key of `new` is the person's who had that of `old`."""
    at = fields.pop("at", w.now - 5 * DAY_S)
    given: dict[str, Any] = {
        "person": old.person,
        "old_key": old.key.public,
        "new_key": new.key.public,
        "procedure": "Deux voisins ont reconnu la personne au guichet.",
        "lang": "fr",
        "contest_until": at + 8 * DAY_S,
        **fields,
    }
    return w.record(
        "vouching", build("vouching", salt=w.fresh(), **given), coop=old.coop, by=old.coop.node,
        at=at, days=60,
    )  # fmt: skip


def contest(w: World, by: Member, of: Signed, **fields: Any) -> Signed:
    """Contest a vouching."""
    return _rest(w, "contest", by, (of.id,), vouching=of.id, **fields)
