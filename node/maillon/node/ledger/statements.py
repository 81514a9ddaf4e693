"""List what moved an account's balance, and the transfers of a coop."""

from __future__ import annotations

from maillon.ledger.state import Account
from maillon.node import cursors
from maillon.node.api import ledger_shapes as shapes
from maillon.node.api.ledger_service import StatementOptions, TransferOptions
from maillon.node.i18n import _
from maillon.node.ledger.index import STATUS_NAMES, Index
from maillon.node.ledger.machine import Machine
from maillon.node.ledger.queue import REFUSED
from maillon.node.ledger.showing import Showing
from maillon.protocol.errors import LocalError

NEVER = 1 << 62
"""Later than anything."""


class NoSuchStatus(LocalError):
    """Nothing has the status that is asked for."""

    code = "request"


def _place(list: str, after: str, where: bytes) -> bytes:
    """Return the key in the index that a cursor names: of what is asked for, and of nothing else.

    A key begins with whose it is; a cursor that brought its own beginning would show others' rows.
    """
    return where + cursors.read(list, after, bytes)[0] if after else b""


def _cursor(list: str, key: bytes, where: bytes) -> str:
    return cursors.written(list, key[len(where) :])


def statement(
    index: Index,
    showing: Showing,
    coop: bytes,
    account: Account,
    options: StatementOptions,
    unit: int | None,
) -> shapes.Statement:
    """Return a page of an account's lines between two times, the oldest first.

    `opening` are the balances before the first line of the page, `closing` after the last.
    """
    lines: list[shapes.StatementLine] = []
    balances: dict[int, int] = {}
    opening: dict[int, int] = {}
    where = coop + account.id
    after = _place("statement", options.after, where)
    more = b""
    for line in index.lines(coop, account.id, after=after):
        if unit is not None and line.unit != unit:
            continue
        if line.place.time >= options.end:
            break
        if line.place.time < options.start:
            balances[line.unit] = line.balance
            continue
        if len(lines) >= options.limit:
            break
        opening.setdefault(line.unit, line.balance - line.amount)
        balances[line.unit] = line.balance
        lines.append(showing.line(coop, line))
        more = line.key
    else:
        more = b""
    if after and not lines:
        more = b""
    units = sorted({*account.positions, *balances} if unit is None else {unit})
    units = [place for place in units if showing.kept(place)]
    now = {place: index.balance(coop, account.id, place) for place in units}
    whole = not options.after and not more and options.end >= 1 << 40
    return shapes.Statement(
        account=showing.account(coop, account, unit),
        lines=lines,
        opening=[
            showing.balance(place, opening.get(place, balances.get(place, 0))) for place in units
        ],
        closing=[
            showing.balance(place, now[place] if whole else balances.get(place, 0))
            for place in units
        ],
        next=(_cursor("statement", more, where) if more and len(lines) >= options.limit else None),
    )


def transfers(
    machine: Machine, showing: Showing, coop: bytes, options: TransferOptions
) -> shapes.Transfers:
    """Return a page of a coop's transfers, the newest first, whatever became of them.

    Beside at most `limit` certain ones stand those that wait, were refused, or are reserved towards
    this coop on another's chain, of the same time: at most `limit` of them too.
    """
    if options.status and options.status not in (*STATUS_NAMES, "waiting", "placed", REFUSED):
        raise NoSuchStatus(
            _("There is no status {status}.").format(status=options.status[:20]),
            hint=_("There are: {names}.").format(
                names=", ".join(("waiting", "placed", "refused", *dict.fromkeys(STATUS_NAMES)))
            ),
        )
    wanted = options.status
    before = _place("transfers", options.after, coop)
    certain: list[shapes.Transfer] = []
    more: str | None = None
    # What has no place on this coop's chain stands between the certain ones, where its time is.
    start, end = -1, NEVER
    seen: set[bytes] = set()
    for key, id in machine.index.recent(coop, before):
        row = machine.index.transfer(id)
        if row is None or id in seen:
            continue
        if before and end == NEVER:
            end = row.place.time
        if len(certain) >= options.limit:
            more = _cursor("transfers", key + b"\0", coop)
            start = row.place.time
            break
        seen.add(id)
        if wanted in ("", STATUS_NAMES[row.status]):
            certain.append(showing.transfer(row))
    others = [showing.queued(item) for item in machine.queue]
    others += [showing.transfer(row) for row in machine.index.reserved(coop)]
    fitting = [
        shown
        for shown in others
        if shown is not None and wanted in ("", shown.status) and start <= shown.given_at < end
    ]
    fitting.sort(key=lambda shown: -shown.given_at)
    found = [*fitting[: options.limit], *certain]
    found.sort(key=lambda shown: -shown.given_at)
    return shapes.Transfers(found, more)
