"""A federation's worth of records that rest on others, good, bad and ended, in one list."""

from __future__ import annotations

from typing import Any

from maillon.protocol.envelope import Signed
from maillon.protocol.records import DAY_S
from support import community as c
from support.world import Member, World

HOUR = 3_600


def pool(w: World) -> list[Signed]:
    """Return auctions, bundles, groups, moves and contests, with what undoes them."""
    dora, emil, fanny, gina = (w.make_member(1, name) for name in ("dora", "emil", "fanny", "gina"))
    there = w.make_member(2, "dora there", key="coop 1/dora")
    again = w.make_member(1, "gina again", person="gina")
    people = [dora, emil, fanny, gina, again, there]
    records = [*w.profiles(), *(w.membership(member) for member in people)]
    records += _auctions(w, dora, emil, fanny)
    records += _wholes(w, dora, emil, fanny)
    move = c.move(w, dora, there)
    word = c.vouching(w, gina, again)
    lost: dict[str, Any] = {"reason": "lost", "until_at": w.now - 6 * DAY_S}
    records += [
        move,
        c.move(w, emil, there),
        w.membership(dora, rev=1, status="suspended", at=w.now - 30 * 60),
        w.membership(there, rev=1, days=200, at=w.now - DAY_S),
        w.withdrawal(move, dora.key, dora.coop),
        word,
        c.contest(w, gina, word),
        c.contest(w, emil, word),
        w.membership(gina, rev=1, status="revoked", revoked=lost, at=w.now),
        w.withdrawal(word, w.coops[1].node, w.coops[1]),
        w.membership(emil, rev=1, status="suspended", at=w.now - HOUR),
        w.membership(emil, rev=2, at=w.now),
    ]  # fmt: skip
    return records


def _auctions(w: World, dora: Member, emil: Member, fanny: Member) -> list[Signed]:
    helper = fanny
    mandate = w.mandate(dora, helper, kinds=("demand", "award", "bid"))
    thing = w.mandate_thing(dora, mandate)
    open_ = c.auction(w, dora, limit=100)
    bids = [c.bid(w, who, open_, dora, amount) for who, amount in ((emil, 60), (fanny, 70))]
    revised = c.auction(
        w, dora, limit=90, at=open_.header.at + 60, rev=1, series=open_.header.series
    )
    sealed = c.auction(w, dora, sealed=True)
    nonce = w.derive("nonce", 32)
    hidden = [c.sealed_bid(w, who, sealed, dora, 50, nonce) for who in (emil, fanny)]
    opened = [c.reveal(w, who, bid, 50, nonce)
              for who, bid in zip((emil, fanny), hidden, strict=True)]  # fmt: skip
    return [
        mandate,
        w.mandate(dora, helper, kinds=("demand",), rev=1, series=mandate.header.series,
                  at=w.now - 30, revoked=True, until_at=w.now - 2 * DAY_S),
        open_, *bids, revised,
        c.bid(w, emil, revised, dora, 80, at=revised.header.at + 1),
        c.bid(w, emil, open_, dora, 101),
        c.bid(w, dora, open_, dora, 5),
        # For her, by the helper: it is her own demand all the same.
        c.upon(w, "bid", fanny, open_, dora, amount=5, as_=thing, at=open_.header.at + HOUR),
        c.close(w, dora, open_, bids),
        c.close(w, dora, open_, bids[:1], at=w.now - DAY_S),
        c.award(w, dora, open_, bids[0]),
        c.upon(w, "award", fanny, open_, dora, secret=c.SECRET, as_=thing, at=w.now - HOUR),
        sealed, *hidden, *opened,
        c.reveal(w, fanny, hidden[1], 50, nonce, at=w.now - DAY_S - HOUR - 1),
        c.close(w, dora, sealed, hidden),
        c.award(w, dora, sealed, hidden[0], opened),
        w.withdrawal(hidden[0], emil.key, emil.coop),
        w.withdrawal(bids[1], fanny.key, fanny.coop),
        w.withdrawal(sealed, dora.key, dora.coop),
    ]  # fmt: skip


def _wholes(w: World, dora: Member, emil: Member, fanny: Member) -> list[Signed]:
    plain = w.demand(dora)
    bundle = c.bundle(w, dora, [dora, emil])
    group = c.organisation(w, emil, [(dora, 2), (emil, 1)])
    part = c.upon(w, "bundle_part", emil, bundle, dora)
    return [
        plain,
        c.upon(w, "cosignature", emil, plain, dora),
        c.upon(w, "cosignature", fanny, plain, dora, persons=3),
        c.upon(w, "cosignature", fanny, plain, dora, at=w.now - 5),
        bundle, part,
        c.upon(w, "bundle_part", fanny, bundle, dora),
        c.bundle(w, dora, [dora, emil], rev=1, series=bundle.header.series),
        c.bundle(w, fanny, [dora, emil]),
        w.withdrawal(part, emil.key, emil.coop),
        group,
        c.upon(w, "organisation_part", dora, group, emil),
        c.organisation(w, emil, [(dora, 1), (emil, 1)], rev=1, series=group.header.series),
        w.withdrawal(plain, dora.key, dora.coop),
    ]  # fmt: skip
