"""Make the accountant's view of an export that was audited."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from maillon.ledger.audit.chain import ChainResult
from maillon.ledger.audit.report import Report
from maillon.ledger.block import decode_block
from maillon.ledger.export.container import chain_path
from maillon.ledger.export.movements import Movements
from maillon.ledger.export.view import (
    KINDS,
    AccountView,
    ChannelView,
    CoopView,
    LedgerView,
    Movement,
    PositionView,
    UnitView,
)
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.tool.files import ExportReader
from maillon.protocol.errors import LocalError
from maillon.protocol.ids import CoopId

Names = Mapping[bytes, str]

NAMES_MAX = 1_000_000
"""Lines of a list of names: ten federations of the largest size planned for."""


def make_view(report: Report, folder: Path, names: Names | None = None) -> LedgerView:
    """Return the view of an audited export. `names` are those of accounts, by id.

    Only what the audit found right is in it: of a chain with an error, what stands before it.
    """
    known = names or {}
    reader = ExportReader(folder)
    state = report.charters.latest
    accounts = tuple(
        AccountView(
            result.chain,
            row.id,
            KINDS[row.kind],
            row.open,
            {
                unit: PositionView(balance, held, limit, None if top == BALANCE_MAX else top)
                for unit, balance, held, limit, top in row.positions
            },
            known.get(row.id, ""),
        )
        for result in report.results.values()
        for row in result.accounts
    )
    coops: dict[bytes, CoopView] = {
        coop.id: CoopView(
            coop.id,
            coop.name,
            result.height,
            result.head,
            result.time,
            dict(state.coops[CoopId(coop.id)].limits),
        )
        for coop in state.coops.values()
        if (result := report.results.get(coop.id)) is not None
    }
    return LedgerView(
        report.fed,
        report.name,
        report.founded,
        max([report.founded, *(coop.time for coop in coops.values())]),
        tuple(
            UnitView(place, unit.code, unit.kind, unit.decimals, unit.label)
            for place, unit in enumerate(state.units)
        ),
        coops,
        accounts,
        tuple(
            ChannelView(flow.source, flow.target, flow.sent, flow.taken, flow.in_flight)
            for flow in report.channels
        ),
        partial(_movements, reader, report),
    )


def _movements(reader: ExportReader, report: Report) -> Iterator[Movement]:
    chains = [_of_chain(reader, result) for result in report.results.values()]
    return heapq.merge(*chains, key=lambda m: (m.time, m.coop, m.height, m.index))


def _of_chain(reader: ExportReader, result: ChainResult) -> Iterator[Movement]:
    movements = Movements(reader.fed, result.chain)
    if not result.height:
        return
    for _, data in reader.frames(chain_path(result.chain)):
        block = decode_block(data)
        yield from movements.of(block)
        if block.h == result.height:
            return


def read_names(path: Path) -> dict[bytes, str]:
    """Read names of accounts: a CSV file whose columns are `account` and `name`.

    Such a list belongs to one coop; no export holds any. Raises: LocalError, OSError.
    """
    found: dict[bytes, str] = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        if not {"account", "name"} <= set(rows.fieldnames or ()):
            raise LocalError(f"{path} has no columns “account” and “name”.")
        for number, row in enumerate(rows):
            if number == NAMES_MAX:
                raise LocalError(f"{path} has too many lines.")
            try:
                found[bytes.fromhex(row["account"])] = row["name"] or ""
            except ValueError:
                raise LocalError(f"{path}: line {number + 2} names no account.") from None
    return found
