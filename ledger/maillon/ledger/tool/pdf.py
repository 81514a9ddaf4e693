"""Write the report of an audit for an assembly, as a PDF that everybody can read (PDF/UA-1).

typst sets it, from a template beside this module and fonts that it brings along. The words are
chosen here; the template knows none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from maillon.ledger.audit.findings import ERROR, NOTE, WARNING
from maillon.ledger.audit.report import FINE, NEAR_PERCENT, Report
from maillon.ledger.audit.words import clean, when
from maillon.ledger.tool.books import NotInstalled

MONTHS_MAX: Final = 12
CATEGORIES_MAX: Final = 12
NEAR_ROWS_MAX: Final = 30
PROBLEMS_MAX: Final = 60
CLEARING_MAX: Final = 8
"""Coops in one clearing table: more columns do not fit a page; then only nets are shown."""

_SPACE: Final = "\N{NARROW NO-BREAK SPACE}"

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "kicker": ("Report to the assembly", "Rapport à l'assemblée"),
    "title": ("The accounts of {name}", "Les comptes de {name}"),
    "subtitle": (
        "Audit of {at}, of an export of {exported}",
        "Audit du {at}, sur un export du {exported}",
    ),
    "footer": ("{name} · audit of {at}", "{name} · audit du {at}"),
    "fine": ("The accounts are right.", "Les comptes sont justes."),
    "wrong": ("The accounts are wrong.", "Les comptes sont faux."),
    "sum": (
        "{label}: the sum is 0. What some have given more than they received, {amount}, others "
        "have received more than they gave{flying}.",
        "{label} : la somme est 0. Ce que les uns ont donné de plus qu'ils n'ont reçu, {amount}, "
        "les autres l'ont reçu de plus qu'ils n'ont donné{flying}.",
    ),
    "flying": ("; {amount} of it is on its way", " ; {amount} sont en route"),
    "sum_wrong": (
        "{label}: the sum is {amount}, and must be 0.",
        "{label} : la somme est {amount}, elle doit être 0.",
    ),
    "sum_unknown": (
        "{label}: nothing can be said of the sum before what is wrong is put right.",
        "{label} : on ne peut rien dire de la somme avant d'avoir réparé ce qui est faux.",
    ),
    "n_coops": ("coops", "coops"),
    "n_accounts": ("accounts", "comptes"),
    "n_transfers": ("payments", "paiements"),
    "n_signatures": ("signatures verified", "signatures vérifiées"),
    "problems": ("What was found", "Ce qui a été trouvé"),
    "error": ("Wrong", "Faux"),
    "warning": ("To be looked at", "À regarder"),
    "note": ("For information", "Pour information"),
    "more": ("… and {count} more.", "… et {count} de plus."),
    "audited": ("What was audited", "Ce qui a été vérifié"),
    "audited_words": (
        "Every block of every coop was replayed from the first: its order, its certificate by a "
        "quorum of witnesses, the signature of every member who paid, every credit limit, every "
        "mandate, every reservation, and every payment between coops. {heads}",
        "Chaque bloc de chaque coop a été rejoué depuis le premier : son ordre, son certificat par "
        "un quorum de témoins, la signature de chaque personne qui a payé, chaque limite de "
        "crédit, chaque mandat, chaque réservation et chaque paiement entre coops. {heads}",
    ),
    "audited_partly": (
        "Not every chain of this copy could be audited whole: what is right, and since which block "
        "one is not, stands below. Up to there every block was replayed from the first: its "
        "order, its certificate, every signature, limit, mandate, reservation and payment between "
        "coops. {heads}",
        "Toutes les chaînes de cette copie n'ont pas pu être vérifiées entièrement : ce qui est "
        "juste, et depuis quel bloc une chaîne ne l'est pas, figure plus bas. Jusque-là, chaque "
        "bloc a été rejoué depuis le premier : son ordre, son certificat, chaque signature, "
        "limite, mandat, réservation et paiement entre coops. {heads}",
    ),
    "left": ("has left", "est partie"),
    "coop": ("Coop", "Coop"),
    "blocks": ("Blocks", "Blocs"),
    "until": ("Until", "Jusqu'au"),
    "result": ("Result", "Résultat"),
    "right": ("right", "juste"),
    "since": ("wrong since block {h}", "faux depuis le bloc {h}"),
    "unproven": ("not proven since block {h}", "non prouvé depuis le bloc {h}"),
    "absent": ("not in the export", "absente de l'export"),
    "balances": ("What each coop holds", "Ce que chaque coop détient"),
    "balances_words": (
        "The accounts of a coop's members, added up. Above 0, its members have given to the other "
        "coops more than they received; below, less. Coops and what is on its way add up to 0.",
        "La somme des comptes des membres de chaque coop. Au-dessus de 0, ils ont donné aux autres "
        "coops plus qu'ils n'en ont reçu ; au-dessous, moins. Les coops et ce qui est en route "
        "s'additionnent à 0.",
    ),
    "balance": ("Balance", "Solde"),
    "limit": ("Collective limit", "Limite collective"),
    "accounts": ("Accounts", "Comptes"),
    "in_flight": ("On its way", "En route"),
    "together": ("Together", "Ensemble"),
    "bars_alt": (
        "Bars for the balance of each coop in {label}: {list}.",
        "Barres du solde de chaque coop en {label} : {list}.",
    ),
    "clearing": ("Who paid whom", "Qui a payé qui"),
    "clearing_words": (
        "Rows pay columns: what members of one coop paid members of another, as far as it has "
        "arrived.",
        "Les lignes paient les colonnes : ce que les membres d'une coop ont payé à ceux d'une "
        "autre, pour autant que ce soit arrivé.",
    ),
    "from": ("From \N{RIGHTWARDS ARROW} to", "De \N{RIGHTWARDS ARROW} à"),
    "months": ("Payments by month", "Les paiements par mois"),
    "months_alt": (
        "Columns for what was paid each month in {label}: {list}.",
        "Colonnes de ce qui a été payé chaque mois en {label} : {list}.",
    ),
    "categories": ("What the payments were for", "À quoi les paiements ont servi"),
    "category": ("Category", "Catégorie"),
    "none": ("(without category)", "(sans catégorie)"),
    "unit": ("Unit", "Unité"),
    "payments": ("Payments", "Paiements"),
    "amount": ("Amount", "Montant"),
    "near": ("Near their limits", "Près de leurs limites"),
    "near_some": (
        "Accounts that have used {percent} % of their credit limit or more. Accounts are known "
        "here by their number alone; a coop knows whose they are.",
        "Les comptes qui ont utilisé au moins {percent} % de leur limite de crédit. Un compte "
        "n'est connu ici que par son numéro ; sa coop sait à qui il est.",
    ),
    "near_none": (
        "No account has used {percent} % of its credit limit.",
        "Aucun compte n'a utilisé {percent} % de sa limite de crédit.",
    ),
    "account": ("Account", "Compte"),
    "whole_coop": ("the whole coop", "toute la coop"),
    "used": ("Used", "Utilisé"),
    "verify": ("How to check it yourself", "Comment vérifier vous-même"),
    "verify_words": (
        "Nobody has to be believed. Anybody who has the export can replay it, on a computer of "
        "their own, without network and without this federation's software running anywhere:",
        "Il n'y a personne à croire. Quiconque a l'export peut le rejouer sur son propre "
        "ordinateur, sans réseau et sans qu'aucun logiciel de la fédération ne tourne :",
    ),
    "verify_more": (
        "The second command writes the accounts for an accounting program, which then does the "
        "sums by itself. The specification of everything that is checked is public (spec/07).",
        "La seconde commande écrit les comptes pour un logiciel de comptabilité, qui refait les "
        "sommes lui-même. La description de tout ce qui est vérifié est publique (spec/07).",
    ),
    "fingerprints": ("Fingerprints", "Empreintes"),
    "fingerprint_words": (
        "The export that was audited, and how far each chain had come. Whoever has the same "
        "fingerprints has the same accounts.",
        "L'export vérifié, et jusqu'où allait chaque chaîne. Qui a les mêmes empreintes a les "
        "mêmes comptes.",
    ),
    "export": ("Export", "Export"),
    "export_about": ("SHA-256 of its manifest", "SHA-256 de son manifeste"),
    "federation": ("Federation", "Fédération"),
    "federation_about": ("its number", "son numéro"),
    "head_about": ("block {h}{signed}", "bloc {h}{signed}"),
    "signed": (
        ", checkpoint signed by the witnesses",
        ", point de contrôle signé par les témoins",
    ),
}


def write_pdf(report: Report, path: Path, language: str = "en") -> None:
    """Write the report as PDF/UA-1 at `path`, whole or not at all.

    Raises: NotInstalled without typst; OSError.
    """
    data = render_pdf(report, language)
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    os.replace(new, path)


def render_pdf(report: Report, language: str = "en") -> bytes:
    """Return the report as the bytes of a PDF/UA-1 document. Raises: NotInstalled."""
    try:
        import typst
    except ImportError:
        raise NotInstalled(
            "The PDF report needs typst, which is not installed.",
            hint="pip install 'maillon[report]'; --json writes a report without it.",
        ) from None
    template = files("maillon.ledger.tool").joinpath("report.typ").read_bytes()
    page = _Page(report, language).data()
    if language == "fr":
        page = _set_french(page)
    made = typst.compile(
        template,
        format="pdf",
        pdf_standards="ua-1",
        ignore_system_fonts=True,
        sys_inputs={"report": json.dumps(page, ensure_ascii=False)},
        # The same audit gives the same bytes.
        timestamp=datetime.fromtimestamp(report.at, UTC),
    )
    assert isinstance(made, bytes)
    return made


class _Page:
    """Everything the template prints, as texts and shares."""

    def __init__(self, report: Report, language: str) -> None:
        self.report = report
        self.language = language
        self.place = 1 if language == "fr" else 0
        self.names = {coop: clean(name) for coop, name in report.coop_names().items()}

    def say(self, key: str, **facts: Any) -> str:
        return _WORDS[key][self.place].format(**facts)

    def amount(self, unit: int, minor: int) -> str:
        return self.report.amount(unit, minor, self.language)

    def number(self, count: int) -> str:
        return f"{count:,}".replace(",", _SPACE if self.language == "fr" else ",")

    def label(self, unit: int) -> str:
        return clean(self.report.units.unit(unit).label)

    def money(self) -> list[int]:
        return [unit for unit in range(len(self.report.units)) if unit not in self.report.counted]

    def data(self) -> dict[str, Any]:
        report, say = self.report, self.say
        at, exported = when(report.at, self.language), when(report.exported, self.language)
        name = clean(report.name)
        counts = report.counts()
        problems = [
            {
                "severity": one.severity,
                "word": say(one.severity),
                "text": report.say(one, self.language),
            }
            for severity in (ERROR, WARNING, NOTE)
            for one in report.findings
            if one.severity == severity
        ]
        if len(problems) > PROBLEMS_MAX:
            more = say("more", count=len(problems) - PROBLEMS_MAX)
            del problems[PROBLEMS_MAX:]
            problems.append({"severity": NOTE, "word": "", "text": more})
        near = report.near()
        return {
            "language": self.language,
            "verdict": report.verdict,
            "name": name,
            "kicker": say("kicker"),
            "title": say("title", name=name),
            "subtitle": say("subtitle", at=at, exported=exported),
            "footer": say("footer", name=name, at=at),
            "headline": say("fine" if report.verdict == FINE else "wrong"),
            "sums": self._sums(),
            "numbers": [
                (self.number(counts[key]), say(f"n_{key}"))
                for key in ("coops", "accounts", "transfers", "signatures")
            ],
            "problems": problems,
            "audited": say(self._audited(), heads=self._heads()),
            "chains": self._chains(),
            "balances_words": say("balances_words"),
            "clearing_words": say("clearing_words"),
            "units": [self._unit(unit) for unit in self.money()],
            "months": self._months(),
            "categories": self._categories(),
            "near_words": say("near_some" if near else "near_none", percent=NEAR_PERCENT),
            "near": self._near(near),
            "verify_words": say("verify_words"),
            "commands": [
                "pip install maillon\n"
                f"python -m maillon.ledger audit EXPORT --lang {self.language}",
                "python -m maillon.ledger export EXPORT --format hledger -o accounts.journal",
            ],
            "verify_more": say("verify_more"),
            "fingerprint_words": say("fingerprint_words"),
            "fingerprints": self._fingerprints(),
            "words": {
                key: say(key)
                for key in (
                    "problems", "audited", "balances", "clearing", "months", "categories", "near",
                    "verify", "fingerprints",
                )
            },
        }  # fmt: skip

    def _sums(self) -> list[str]:
        report = self.report
        made: list[str] = []
        for total in report.sums:
            if total.unit in report.counted or total.unit >= len(report.units):
                continue
            label = self.label(total.unit)
            if not report.judged:
                made.append(self.say("sum_unknown", label=label))
            elif total.total:
                amount = self.amount(total.unit, total.total)
                made.append(self.say("sum_wrong", label=label, amount=amount))
            else:
                flying = ""
                if total.in_flight:
                    flying = self.say("flying", amount=self.amount(total.unit, total.in_flight))
                amount = self.amount(total.unit, total.positive + total.in_flight)
                made.append(self.say("sum", label=label, amount=amount, flying=flying))
        return made

    def _audited(self) -> str:
        report = self.report
        whole = not report.since() and len(report.results) == len(self.names)
        return "audited_words" if whole else "audited_partly"

    def _heads(self) -> str:
        return self.report.compared(self.language) if self.report.heads else ""

    def _chains(self) -> dict[str, Any]:
        since = self.report.since()
        rows = [
            [
                self.names.get(chain, ""),
                self.number(result.height),
                when(result.time, self.language) if result.height else "",
                self._verdict(chain, since),
            ]
            for chain, result in self.report.results.items()
        ]
        rows += [
            [name, "", "", self.say("absent")]
            for chain, name in self.names.items()
            if chain not in self.report.results
        ]
        header = [self.say(key) for key in ("coop", "blocks", "until", "result")]
        return {"header": header, "rows": rows}

    def _verdict(self, chain: bytes, since: Mapping[bytes, int]) -> str:
        if chain not in since:
            return self.say("right")
        kind = "unproven" if chain in self.report.unproven() else "since"
        return self.say(kind, h=since[chain])

    def _unit(self, unit: int) -> dict[str, Any]:
        report = self.report
        trade = {chain: result.trade.get(unit, 0) for chain, result in report.results.items()}
        top = max([abs(amount) for amount in trade.values()] or [0]) or 1
        bars = [
            {
                "name": self.names.get(chain, ""),
                "amount": self.amount(unit, amount),
                "share": amount / top,
            }
            for chain, amount in trade.items()
        ]
        return {
            "label": self.label(unit),
            "bars": bars,
            "bars_alt": self.say(
                "bars_alt",
                label=self.label(unit),
                list=_listed(f"{bar['name']} {bar['amount']}" for bar in bars),
            ),
            "table": self._balances(unit, trade),
            "clearing": self._clearing(unit),
        }

    def _balances(self, unit: int, trade: dict[bytes, int]) -> dict[str, Any]:
        report = self.report
        rows: list[list[str]] = []
        for chain, amount in trade.items():
            coop = next(c for c in report.charters.latest.coops.values() if c.id == chain)
            count = sum(
                any(position[0] == unit for position in account.positions)
                for account in report.results[chain].accounts
                if account.kind != 3
            )
            rows.append(
                [
                    self.names.get(chain, ""),
                    self.number(count),
                    self.say("left")
                    if coop.removed
                    else self.amount(unit, coop.limits.get(unit, 0)),
                    self.amount(unit, amount),
                ]
            )
        total = next((one for one in report.sums if one.unit == unit), None)
        if total is not None:
            rows.append([self.say("in_flight"), "", "", self.amount(unit, total.in_flight)])
            rows.append([self.say("together"), "", "", self.amount(unit, total.total)])
        header = [self.say(key) for key in ("coop", "accounts", "limit", "balance")]
        return {"header": header, "rows": rows}

    def _clearing(self, unit: int) -> dict[str, Any]:
        cells = {(a, b): n for (a, b, u), n in self.report.clearing().items() if u == unit}
        coops = [coop for coop in self.report.results if any(coop in pair for pair in cells)]
        if not coops:
            return {"header": [""], "rows": []}
        if len(coops) > CLEARING_MAX:
            rows = [
                [f"{self.names[a]} \N{RIGHTWARDS ARROW} {self.names[b]}", self.amount(unit, n)]
                for (a, b), n in sorted(cells.items(), key=lambda item: -item[1])[:40]
            ]
            return {"header": [self.say("from"), self.say("amount")], "rows": rows}
        rows = [
            [
                self.names[payer],
                *(
                    "\N{MIDDLE DOT}"
                    if payer == payee
                    else self.amount(unit, cells.get((payer, payee), 0))
                    for payee in coops
                ),
            ]
            for payer in coops
        ]
        return {"header": [self.say("from"), *(self.names[coop] for coop in coops)], "rows": rows}

    def _months(self) -> list[dict[str, Any]]:
        tallies = self.report.months()
        made: list[dict[str, Any]] = []
        for unit in self.money():
            months = sorted(month for u, month in tallies if u == unit)[-MONTHS_MAX:]
            if len(months) < 2:
                continue  # one column shows nothing
            totals = [tallies[unit, month][1] for month in months]
            top = max(totals) or 1
            bars = [
                {
                    "name": f"{month[5:]}/{month[2:4]}" if self.language == "fr" else month,
                    "amount": self.amount(unit, total),
                    # More came back in a month than was paid in it: no bar.
                    "share": max(total, 0) / top,
                }
                for month, total in zip(months, totals, strict=True)
            ]
            words = _listed(f"{bar['name']} {bar['amount']}" for bar in bars)
            label = self.label(unit)
            alt = self.say("months_alt", label=label, list=words)
            made.append({"label": label, "bars": bars, "alt": alt})
        return made

    def _categories(self) -> dict[str, Any]:
        tallies = sorted(self.report.categories().items(), key=lambda item: -item[1][0])
        rows = [
            [
                clean(category) or self.say("none"),
                self.label(unit) if unit < len(self.report.units) else str(unit),
                self.number(count),
                self.number(count) if unit in self.report.counted else self.amount(unit, total),
            ]
            for (unit, category), (count, total) in tallies[:CATEGORIES_MAX]
        ]
        header = [self.say(key) for key in ("category", "unit", "payments", "amount")]
        return {"header": header, "rows": rows}

    def _near(self, near: list[Any]) -> dict[str, Any]:
        rows = [
            [
                self.names.get(one.coop, ""),
                one.account.hex()[:12] if one.account else self.say("whole_coop"),
                self.label(one.unit),
                self.amount(one.unit, one.balance - one.held),
                self.amount(one.unit, one.limit),
                f"{one.percent}{_SPACE}%",
            ]
            for one in near[:NEAR_ROWS_MAX]
        ]
        keys = ("coop", "account", "unit", "balance", "limit_member", "used")
        words = {"limit_member": ("Limit", "Limite")[self.place]}
        return {"header": [words.get(key) or self.say(key) for key in keys], "rows": rows}

    def _fingerprints(self) -> list[dict[str, str]]:
        report, say = self.report, self.say
        made = [
            {
                "name": say("federation"),
                "about": say("federation_about"),
                "hash": report.fed.hex(),
            },
            {"name": say("export"), "about": say("export_about"), "hash": report.digest.hex()},
        ]
        for chain, result in report.results.items():
            signed = say("signed") if chain in report.checkpoints else ""
            made.append(
                {
                    "name": self.names.get(chain, ""),
                    "about": say("head_about", h=result.height, signed=signed),
                    "hash": result.head.hex(),
                }
            )
        return made


def _set_french(value: Any) -> Any:
    """Return texts with the apostrophes and the narrow spaces that French is printed with."""
    if isinstance(value, str):
        for mark in ":;?!":
            value = value.replace(f" {mark}", f"{_SPACE}{mark}")
        return value.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    if isinstance(value, dict):
        # A command is copied by hand: its marks stay as a shell knows them.
        return {k: v if k == "commands" else _set_french(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_set_french(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _listed(parts: Iterable[str]) -> str:
    return "; ".join(parts)
