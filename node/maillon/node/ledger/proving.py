"""Show why a transfer is certain: who signed it, where it stands, who certified that."""

from __future__ import annotations

from maillon.ledger.block import Placed
from maillon.ledger.book import Book
from maillon.ledger.entries import decode_entry
from maillon.ledger.orders import Order
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger.index import HELD, RETURNED, VOID, TransferRow
from maillon.node.ledger.queue import Queued
from maillon.node.ledger.showing import Showing


def prove(book: Book, showing: Showing, row: TransferRow) -> shapes.TransferProof:
    """Return a certified transfer with its order, block and certificate, verified once more."""
    block = book.block(row.coop, row.place.h)
    header = block.header
    charter = book.charter_state(header.c)
    committee = charter.committee()
    certificate = block.certified_by()
    signatures: list[shapes.SignatureOut] = []
    sentences: list[str] = []
    order = _order_at(block.body.entries[row.place.index])
    data = ""
    if order is not None:
        data = order.encode().hex()
        good = book.verify([order.check(book.fed)])[0]
        name = showing.name(row.coop, row.account) or row.account.hex()[:8]
        signatures.append(
            shapes.SignatureOut(
                "delegate" if order.mandate else "payer", name, order.key.hex(), good
            )
        )
        sentences.append(
            _("{name} signed the order to give {amount} to {other}.").format(
                name=name,
                amount=showing.text(row.unit, row.amount),
                other=showing.name(row.to_coop, row.to_account) or row.to_account.hex()[:8],
            )
            if not order.mandate
            else _("A delegate signed it under a mandate of {name}.").format(name=name)
        )
    else:
        sentences.append(
            _("{coop} decided it for its own account.").format(coop=showing.coop_name(row.coop))
        )
    checks = certificate.items(committee, book.fed)
    for (key, _message, _signature), good in zip(checks, book.verify(checks), strict=True):
        coop = charter.witness_coop(key)
        signatures.append(
            shapes.SignatureOut("witness", coop.name if coop else "", key.hex(), good)
        )
    sentences.append(
        _("It stands in block {h} of {coop}, as entry {index}.").format(
            h=header.h, coop=showing.coop_name(row.coop), index=row.place.index
        )
    )
    sentences.append(
        _("{n} of {m} witnesses certified the block; {quorum} are needed.").format(
            n=len(checks), m=committee.n, quorum=committee.quorum
        )
    )
    sentences += _arrival(showing, row)
    return shapes.TransferProof(
        transfer=showing.transfer(row),
        order=data,
        signatures=signatures,
        quorum=committee.quorum,
        witnesses=committee.n,
        header=header.encoded.hex(),
        certificate=block.certificate.hex(),
        explanation=sentences,
    )


def _arrival(showing: Showing, row: TransferRow) -> list[str]:
    """Return what the other coop did with it, in sentences."""
    other = showing.coop_name(row.to_coop)
    if row.to_coop == row.coop or row.status in (HELD, VOID):
        return []
    if row.arrived is None:
        return [
            _("{coop} has not taken it yet; it takes it or sends it back by itself.").format(
                coop=other
            )
        ]
    if row.status != RETURNED:
        return [_("{coop} took it in block {h} of its own.").format(coop=other, h=row.arrived.h)]
    return [
        _("{coop} could not credit it and sent it back in block {h} of its own.").format(
            coop=other, h=row.arrived.h
        ),
        _("{coop} has not taken it back yet; it does so by itself.").format(
            coop=showing.coop_name(row.coop)
        )
        if row.back is None
        else _("{coop} credited it to the payer again in block {h}.").format(
            coop=showing.coop_name(row.coop), h=row.back.h
        ),
    ]


def _order_at(placed: object) -> Order | None:
    if not isinstance(placed, Placed):
        return None
    order = getattr(decode_entry(placed.data), "order", None)
    return order if isinstance(order, Order) else None


def not_yet(book: Book, showing: Showing, item: Queued) -> shapes.TransferProof:
    """Return a transfer that is not certified, with what there is of it."""
    shown = showing.queued(item)
    committee = book.charter.latest.committee()
    assert shown is not None or not isinstance(item.wish, Order)
    signatures: list[shapes.SignatureOut] = []
    if isinstance(item.wish, Order):
        good = book.verify([item.wish.check(book.fed)])[0]
        name = showing.name(item.wish.chain, item.wish.account)
        signatures.append(shapes.SignatureOut("payer", name, item.wish.key.hex(), good))
    if shown is None:
        shown = shapes.Transfer(
            id=item.id.hex(),
            status=item.state,
            coop="",
            coop_name="",
            account=item.account.hex(),
            name="",
            to_coop="",
            to_coop_name="",
            to_account="",
            to_name="",
            unit=0,
            code="",
            amount=0,
            text="",
            category="",
            memo="",
            given_at=item.given_at,
            until=0,
            block=None,
            arrived=None,
            reason=item.reason,
            detail=item.detail,
            facts=showing.facts(item.facts),
        )
    sentence = (
        _("It was refused: {detail}").format(detail=item.detail)
        if item.state == "refused"
        else _("It is kept here and waits for {n} witnesses to certify it.").format(
            n=committee.quorum
        )
    )
    return shapes.TransferProof(
        transfer=shown,
        order=item.wish.encode().hex() if isinstance(item.wish, Order) else "",
        signatures=signatures,
        quorum=committee.quorum,
        witnesses=committee.n,
        header="",
        certificate="",
        explanation=[sentence],
    )
