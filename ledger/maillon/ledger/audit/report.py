"""Put an audit into one report: for programs as JSON values, for people as lines of text (spec/07).

Everything that a page, a document or a terminal shows comes from the `Report`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from maillon.ledger.audit.chain import ChainResult
from maillon.ledger.audit.federation import Flow, HeldHead, UnitSum
from maillon.ledger.audit.findings import ERROR, WARNING, Finding
from maillon.ledger.audit.words import sentence, when
from maillon.ledger.charter import CharterChain
from maillon.ledger.export.view import KINDS
from maillon.ledger.units import UnitTable
from maillon.protocol.ids import CoopId

FORMAT: Final = "maillon-audit-1"

FINE: Final = "fine"
WRONG: Final = "wrong"
"""What an audit comes to. What cannot be read at all has no report."""

NEAR_PERCENT: Final = 90
"""From this share of its limit on an account, or a coop, is told of as near it."""

NEAR_MAX: Final = 200
"""Accounts near their limits that a report lists; how many more there are it says."""


_UNPROVEN: Final = frozenset({"file_missing", "file_damaged", "head_hidden"})
"""Findings that say of a chain that something is not there, not that something is wrong."""

# Whole parts of five digits and more are read in groups of three.
_GROUPS: Final = re.compile(r"(?<![.,\d])\d{5,}")


@dataclass(frozen=True, slots=True)
class Near:
    """An account (16 bytes; b"" for the whole coop) that has used most of its limit in a unit."""

    coop: bytes
    account: bytes
    unit: int
    balance: int
    held: int
    limit: int

    @property
    def percent(self) -> int:
        """Return the share of the limit that is used, in percent."""
        return 100 * (self.held - self.balance) // self.limit


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found. `at` is when it was made, `exported` when the export was (Unix seconds),
    `by` the key of the node that wrote it.

    `judged` says whether the sums could be judged: every chain whole, resting on nothing unknown.
    """

    fed: bytes
    name: str
    founded: int
    at: int
    exported: int
    charters: CharterChain
    results: Mapping[bytes, ChainResult]
    channels: tuple[Flow, ...]
    sums: tuple[UnitSum, ...]
    findings: tuple[Finding, ...]
    heads: tuple[HeldHead, ...] = ()
    convicted: int = 0
    checkpoints: Mapping[bytes, int] = field(default_factory=dict[bytes, int])
    judged: bool = True
    seconds: float = 0.0
    digest: bytes = b""
    by: bytes = b""

    # --- what it comes to ---

    @property
    def verdict(self) -> str:
        """Return FINE or WRONG."""
        return WRONG if any(one.is_error for one in self.findings) else FINE

    @property
    def units(self) -> UnitTable:
        """Return the units of the latest charter."""
        return UnitTable(self.charters.latest.units)

    @property
    def counted(self) -> frozenset[int]:
        """Return the units in which nothing is owed."""
        table = self.units
        return frozenset(unit for unit in range(len(table)) if table.is_count(unit))

    def coop_names(self) -> dict[bytes, str]:
        """Return the coops' names by id."""
        return {coop.id: coop.name for coop in self.charters.latest.coops.values()}

    def node_names(self) -> dict[bytes, str]:
        """Return the names of coops by the keys of their nodes."""
        return {coop.node_key: coop.name for coop in self.charters.latest.coops.values()}

    def amount(self, unit: int, minor: int, language: str = "en") -> str:
        """Return an amount with its unit, as a person of this language writes it."""
        return amount_text(self.units, unit, minor, language)

    def say(self, one: Finding, language: str) -> str:
        """Return a finding as a sentence."""
        return sentence(
            one,
            language,
            self.coop_names(),
            self.node_names(),
            lambda unit, minor: self.amount(unit, minor, language),
        )

    def since(self) -> Mapping[bytes, int]:
        """Return for each chain with an error the first block that is wrong."""
        found: dict[bytes, int] = {}
        for one in self.findings:
            # What rests on another chain that is cut short is not wrong by that.
            if one.is_error and one.chain and one.height >= 0 and one.code != "not_closed":
                found[one.chain] = min(one.height, found.get(one.chain, one.height))
        return found

    def unproven(self) -> frozenset[bytes]:
        """Return the chains of which something is not there, and nothing is wrong."""
        chains = {one.chain for one in self.findings if one.is_error and one.code in _UNPROVEN}
        wrong = {
            one.chain
            for one in self.findings
            if one.is_error and one.code not in _UNPROVEN and one.height >= 0
        }
        return frozenset(chains - wrong)

    def agreement(self) -> tuple[str, int, int]:
        """Return how what other nodes hold agrees with the export, of how many, and the forks.

        "forked", "ahead" (one holds blocks beyond the export's end), "heads" (all hold the same
        history), "heads_one", or "heads_none" when no other node was asked.
        """
        nodes = {held.node for held in self.heads if held.verdict != "bad"} - {self.by}
        forks = sum(held.verdict == "fork" for held in self.heads)
        if forks:
            return "forked", len({held.node for held in self.heads}), forks
        if any(held.verdict == "ahead" for held in self.heads):
            return "ahead", len(nodes), 0
        if nodes and self.since():
            return "partly", len(nodes), 0
        return {0: "heads_none", 1: "heads_one"}.get(len(nodes), "heads"), len(nodes), 0

    def compared(self, language: str) -> str:
        """Return what comparing the nodes came to, as a sentence."""
        kind, nodes, forks = self.agreement()
        return _Say(language)(kind).format(nodes=nodes, forks=forks)

    def clearing(self) -> dict[tuple[bytes, bytes, int], int]:
        """Return what arrived: (from coop, to coop, unit) -> minor units, returns left out."""
        return {
            (channel.source, channel.target, unit): total
            for channel in self.channels
            for unit, total in channel.arrived.items()
            if unit not in self.counted
        }

    def near(self) -> list[Near]:
        """Return accounts and coops that have used most of their limit, the fullest first."""
        found: list[Near] = []
        state = self.charters.latest
        for chain, result in self.results.items():
            for account in result.accounts:
                for unit, balance, held, limit, _ in account.positions:
                    if limit and 100 * (held - balance) >= NEAR_PERCENT * limit:
                        found.append(Near(chain, account.id, unit, balance, held, limit))
            coop = state.coops.get(CoopId(chain))
            limits: Mapping[int, int] = {}
            if coop is not None and not coop.removed:
                limits = coop.limits
            for unit, limit in sorted(limits.items()):
                balance = result.trade.get(unit, 0)
                if limit and -100 * balance >= NEAR_PERCENT * limit:
                    found.append(Near(chain, b"", unit, balance, 0, limit))
        found.sort(key=lambda one: (-one.percent, one.coop, one.account, one.unit))
        return found

    def months(self) -> dict[tuple[int, str], tuple[int, int]]:
        """Return payments by unit and month: how many, how much."""
        return _joined(result.statistics.months for result in self.results.values())

    def categories(self) -> dict[tuple[int, str], tuple[int, int]]:
        """Return payments by unit and category: how many, how much."""
        return _joined(result.statistics.categories for result in self.results.values())

    def counts(self) -> dict[str, int]:
        """Return how much was looked at."""
        results = self.results.values()
        return {
            "coops": len(self.results),
            "blocks": sum(result.statistics.blocks for result in results) + self.charters.height,
            "entries": sum(result.statistics.entries for result in results),
            "transfers": sum(result.statistics.transfers for result in results),
            "signatures": sum(result.statistics.signatures for result in results),
            "accounts": sum(
                1 for result in results for account in result.accounts if account.kind != 3
            ),
            "erased": sum(result.erased for result in results),
            "resumed": sum(1 for result in results if result.resumed),
        }

    # --- for programs ---

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values; `spec/07-audit.md` describes every field."""
        names = self.coop_names()
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "federation": {"id": self.fed.hex(), "name": self.name, "founded": self.founded},
            "audited_at": self.at,
            "exported_at": self.exported,
            "export_sha256": self.digest.hex(),
            "seconds": round(self.seconds, 3),
            "charter": self.charters.height,
            "counts": self.counts(),
            "judged": self.judged,
            "units": [
                {
                    "unit": total.unit,
                    "code": self.units.unit(total.unit).code,
                    "kind": self.units.unit(total.unit).kind,
                    "decimals": self.units.unit(total.unit).decimals,
                    "balances": total.balances,
                    "in_flight": total.in_flight,
                    "sum": total.total,
                }
                for total in self.sums
                if total.unit < len(self.units)
            ],
            "coops": [self._coop(chain, result) for chain, result in self.results.items()],
            "channels": [
                {
                    "from": channel.source.hex(),
                    "to": channel.target.hex(),
                    "sent": channel.sent,
                    "taken": channel.taken,
                    "in_flight": {str(unit): n for unit, n in channel.in_flight.items()},
                }
                for channel in self.channels
            ],
            "clearing": [
                {"from": a.hex(), "to": b.hex(), "unit": unit, "amount": amount}
                for (a, b, unit), amount in sorted(self.clearing().items())
            ],
            "near_limits": [
                {
                    "coop": one.coop.hex(),
                    "account": one.account.hex(),
                    "unit": one.unit,
                    "balance": one.balance,
                    "held": one.held,
                    "limit": one.limit,
                    "percent": one.percent,
                }
                for one in self.near()[:NEAR_MAX]
            ],
            "heads": [
                {
                    "node": held.node.hex(),
                    "chain": held.chain.hex(),
                    "height": held.height,
                    "hash": held.hash.hex(),
                    "verdict": held.verdict,
                }
                for held in self.heads
            ],
            "fraud_proofs": self.convicted,
            "checkpoints": {chain.hex(): size for chain, size in self.checkpoints.items()},
            "findings": [
                {
                    "code": one.code,
                    "severity": one.severity,
                    "coop": one.chain.hex(),
                    "name": names.get(one.chain, ""),
                    "height": one.height if one.height >= 0 else None,
                    "time": one.time if one.time >= 0 else None,
                    "entry": one.entry if one.entry >= 0 else None,
                    "facts": {key: _plain(value) for key, value in one.facts.items()},
                    "text": {language: self.say(one, language) for language in ("en", "fr")},
                }
                for one in self.findings
            ],
        }

    def _coop(self, chain: bytes, result: ChainResult) -> dict[str, Any]:
        return {
            "coop": chain.hex(),
            "name": result.name,
            "height": result.height,
            "head": result.head.hex(),
            "time": result.time,
            "charter": result.adopted,
            "wrong_since": self.since().get(chain),
            "accounts": {
                kind: sum(1 for account in result.accounts if account.kind == number)
                for number, kind in enumerate(KINDS)
            },
            "balances": {str(unit): amount for unit, amount in sorted(result.trade.items())},
            "erased": result.erased,
            "resumed_from": result.resumed or None,
        }

    # --- for people ---

    def lines(self, language: str = "en") -> Iterator[str]:
        """Yield the report as lines for a terminal."""
        say = _Say(language)
        counts = self.counts()
        names = self.coop_names()
        yield say("title").format(name=self.name, fed=self.fed.hex()[:16])
        yield say("looked").format(when=when(self.exported, language), **counts)
        if counts["resumed"]:
            yield say("resumed").format(**counts)
        yield ""
        width = max([len(name) for name in names.values()] or [0])
        since, unproven = self.since(), self.unproven()
        for chain, result in self.results.items():
            verdict = say("coop_fine")
            if chain in since:
                kind = "coop_unproven" if chain in unproven else "coop_wrong"
                verdict = say(kind).format(h=since[chain])
            # A chain without blocks has no time.
            yield f"  {result.name:<{width}}  " + say("chain" if result.height else "empty").format(
                h=result.height, when=when(result.time, language), verdict=verdict
            )
        for chain, name in names.items():
            if chain not in self.results:
                yield f"  {name:<{width}}  " + say("absent")
        yield ""
        for total in self.sums:
            if total.unit in self.counted or total.unit >= len(self.units):
                continue
            code = self.units.unit(total.unit).code
            if self.judged and not total.total:
                yield say("sum").format(
                    code=code,
                    gained=self.amount(total.unit, total.positive, language),
                    flying=self.amount(total.unit, total.in_flight, language),
                )
            elif self.judged:
                yield say("sum_wrong").format(
                    code=code, amount=self.amount(total.unit, total.total, language)
                )
            else:
                yield say("sum_unknown").format(code=code)
        if self.heads:
            yield self.compared(language)
        if self.findings:
            yield ""
        for severity, mark in ((ERROR, "!!"), (WARNING, " !"), ("note", "  ")):
            for one in self.findings:
                if one.severity == severity:
                    yield f"{mark} {self.say(one, language)}"
        yield ""
        yield say(self.verdict)


def amount_text(table: UnitTable, unit: int, minor: int, language: str) -> str:
    """Return an amount with its unit, as a person of this language writes it."""
    if not 0 <= unit < len(table):
        return str(minor)
    text = table.format(unit, minor, decimal="," if language == "fr" else ".")
    text = _GROUPS.sub(_grouped, text)
    known = table.unit(unit)
    if known.kind == "hours":
        return text.replace("-", "\N{MINUS SIGN}")
    return f"{text} {known.code}".replace("-", "\N{MINUS SIGN}", 1 if minor < 0 else 0)


def _grouped(match: re.Match[str]) -> str:
    return f"{int(match[0]):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


class _Say:
    def __init__(self, language: str) -> None:
        self._place = 1 if language == "fr" else 0

    def __call__(self, key: str) -> str:
        return _LINES[key][self._place]


_LINES: Final[Mapping[str, tuple[str, str]]] = {
    "title": ("{name}  (federation {fed})", "{name}  (fédération {fed})"),
    "looked": (
        "Export of {when}: {blocks} blocks, {transfers} payments, {accounts} accounts, "
        "{signatures} signatures verified.",
        "Export du {when} : {blocks} blocs, {transfers} paiements, {accounts} comptes, "
        "{signatures} signatures vérifiées.",
    ),
    "resumed": (
        "{resumed} chains were known from an earlier audit; only what is new was replayed.",
        "{resumed} chaînes étaient connues d'un audit précédent ; seul le nouveau a été rejoué.",
    ),
    "chain": ("block {h}, {when}: {verdict}", "bloc {h}, {when} : {verdict}"),
    "empty": ("no block: {verdict}", "aucun bloc : {verdict}"),
    "absent": ("not in the export: NOT PROVEN", "absente de l'export : NON PROUVÉE"),
    "coop_fine": ("right", "juste"),
    "coop_unproven": ("NOT PROVEN since block {h}", "NON PROUVÉE depuis le bloc {h}"),
    "coop_wrong": ("WRONG since block {h}", "FAUX depuis le bloc {h}"),
    "sum": (
        "{code}: sum 0 ({gained} on one side, as much on the other; {flying} on its way)",
        "{code} : somme 0 ({gained} d'un côté, autant de l'autre ; {flying} en route)",
    ),
    "sum_wrong": ("{code}: SUM {amount}, and must be 0", "{code} : SOMME {amount}, doit être 0"),
    "sum_unknown": (
        "{code}: the sum cannot be judged before what is wrong is put right",
        "{code} : on ne peut pas juger de la somme avant d'avoir réparé ce qui est faux",
    ),
    "heads": (
        "The {nodes} other nodes that were asked hold the same history.",
        "Les {nodes} autres nœuds interrogés détiennent la même histoire.",
    ),
    "heads_one": (
        "The one other node that was asked holds the same history.",
        "Le seul autre nœud interrogé détient la même histoire.",
    ),
    "heads_none": (
        "No other node was asked: compare this export with that of another coop.",
        "Aucun autre nœud n'a été interrogé : comparez cet export à celui d'une autre coop.",
    ),
    "partly": (
        "As far as the chains could be audited, the other nodes that were asked ({nodes}) hold the "
        "same history.",
        "Pour autant que les chaînes aient pu être vérifiées, les autres nœuds interrogés "
        "({nodes}) détiennent la même histoire.",
    ),
    "ahead": (
        "The export ends BEFORE what nodes hold; as far as it goes, their history is the same.",
        "L'export s'arrête AVANT ce que détiennent des nœuds ; jusque-là, leur histoire est la "
        "même.",
    ),
    "forked": (
        "NOT all of the {nodes} nodes hold the same history: {forks} heads differ.",
        "Les {nodes} nœuds ne détiennent PAS tous la même histoire : {forks} têtes diffèrent.",
    ),
    "fine": ("The accounts are right.", "Les comptes sont justes."),
    "wrong": (
        "The accounts, or this copy of them, are WRONG.",
        "Les comptes, ou cette copie, sont FAUX.",
    ),
}


def _joined(
    parts: Iterator[Mapping[tuple[int, str], tuple[int, int]]] | Any,
) -> dict[tuple[int, str], tuple[int, int]]:
    made: dict[tuple[int, str], tuple[int, int]] = {}
    for part in parts:
        for key, (count, total) in part.items():
            known = made.get(key, (0, 0))
            made[key] = (known[0] + count, known[1] + total)
    # What was paid and came back leaves nothing.
    return {key: tally for key, tally in made.items() if tally[0]}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str | int | bool | float) or value is None:
        return value
    return str(value)
