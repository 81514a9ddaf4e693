"""Accounts in the demonstration: residents give each other hours, an auditor adds them up.

Each step says what happens in plain words and checks that it went as the rules say; what did not
is a DemoFailed with the sentence that should have been true.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from maillon.node.cli.refusals import in_words
from maillon.node.demo.display import Screen, seconds
from maillon.node.demo.nodes import DemoFailed, Node
from maillon.node.demo.orders import COOP_LIMIT, OPEN, UNIT, Desk, Resident
from maillon.node.i18n import _

# Long enough to be seen waiting, short enough to wait for.
SHORT_WAIT_S = 1.5
AUDIT_S_MAX = 120.0
# Format and file of what other programs read.
EXPORTS = (
    ("sqlite", "federation.db"),
    ("hledger", "federation.journal"),
    ("csv", "csv"),
)
# What the residents of neighbouring coops give each other, around the ring.
GIVEN = ("1h30", "45min", "2h", "1h", "30min")


class Exchange:
    """The honest part: giving, being away, joining, auditing."""

    def __init__(self, desk: Desk, root: Path, screen: Screen) -> None:
        self.desk = desk
        self.root = root
        self.screen = screen

    def give(self) -> None:
        """Open accounts and let residents of different coops give each other hours."""
        desk = self.desk
        self.screen.chapter(7, _("Residents of different coops give each other hours"))
        with self.screen.live(_("Opening accounts…")):
            for node in desk.founders:
                desk.quorum_in_reach(node)
            desk.money.accounts = sum(desk.everywhere(self._open_if_founder))
        self.screen.done(
            _("{n} accounts, all at zero; each may go down to -5h").format(n=desk.money.accounts)
        )
        ring = [desk.one(node) for node in desk.founders]
        with self.screen.live(_("Giving hours…")):
            for place, amount in enumerate(GIVEN):
                payer, payee = ring[place], ring[(place + 1) % len(ring)]
                took = desk.give(payer, payee, amount)
                self.screen.item(
                    _("{payer} gives {amount} to {payee}: final after {time}").format(
                        payer=payer.name, amount=amount, payee=payee.name, time=seconds(took)
                    )
                )
            desk.settled()
        self._refused_over_limit(ring[0], ring[1])

    def _open_if_founder(self, node: Node) -> int:
        return self.desk.open_accounts(node) if node in self.desk.founders else 0

    def _refused_over_limit(self, payer: Resident, payee: Resident) -> None:
        before = self.desk.balance(payer)
        answer = self.desk.order(payer, payee, "9h")
        if answer["status"] != "refused" or answer["reason"] != "over_limit":
            raise DemoFailed(_("A transfer over the limit was not refused."))
        if self.desk.balance(payer) != before:
            raise DemoFailed(_("A refused transfer changed a balance."))
        message, hint = in_words(answer["reason"], answer["facts"], answer["detail"])
        self.screen.done(_("9 h more is refused, and nothing is changed:"))
        for line in (message, hint):
            if line:
                self.screen.note(line)

    def away(self) -> None:
        """Take one coop off the network and kill a second witness in the middle of transfers."""
        desk = self.desk
        self.screen.chapter(8, _("A coop is away, and a witness is killed in the middle"))
        payer, payee = desk.one(desk.founders[0]), desk.one(desk.founders[1])
        absent, victim = desk.founders[2], desk.founders[3]
        with self.screen.live(_("Giving hours while a coop is away…")):
            absent.stop()
            took = desk.give(payer, desk.one(absent), "15min")
            self.screen.done(
                _("{coop} is away; four of five witnesses are enough").format(
                    coop=absent.area.name
                ),
                _("15 min to one of its residents: final after {time}").format(time=seconds(took)),
            )
            desk.give(payer, payee, "10min")
            victim.kill()
            waiting = [desk.order(payer, payee, text, SHORT_WAIT_S) for text in ("5min", "6min")]
            for answer in waiting:
                if answer["status"] not in OPEN:
                    raise DemoFailed(
                        _("With three of five witnesses a transfer became {status}.").format(
                            status=answer["status"]
                        )
                    )
            last = waiting[-1]
            desk.money.waited = len(waiting)
            self.screen.done(
                _("{coop}'s witness is killed: three are too few, so {n} transfers wait").format(
                    coop=victim.area.name, n=len(waiting)
                ),
                in_words(last["reason"], last["facts"], last["detail"])[0],
            )
            start = time.monotonic()
            victim.start()
            absent.start()
            for answer in waiting:
                desk.becomes_final(payer.node, answer["id"])
            took = time.monotonic() - start
            self.screen.done(
                _("Both nodes are started again, and what waited is final, each once"),
                _("{time} after they were started").format(time=seconds(took)),
            )
            desk.alive(absent)
            desk.settled()
        self._each_once(payer, [answer["id"] for answer in waiting])
        self.screen.done(
            _("{coop} is back and has received what was given while it was away").format(
                coop=absent.area.name
            )
        )

    def _each_once(self, payer: Resident, ids: list[str]) -> None:
        """Check that a statement has each of some transfers exactly once."""
        path = f"/v1/accounts/{payer.person}/statement"
        lines = payer.node.client.get(path, limit=1000)["lines"]
        for id in ids:
            if sum(line["id"] == id for line in lines) != 1:
                raise DemoFailed(_("A transfer that waited was lost, or done twice."))

    def admit(self) -> None:
        """Let the late coop into the ledger: proposed by one, approved by others, certified."""
        desk, late = self.desk, self.desk.late
        self.screen.chapter(9, _("The sixth coop is admitted to the accounts"))
        with self.screen.live(_("Proposing and approving…")):
            entry = {
                "entry": "admit",
                "card": late.command("federation", "card")["card"],
                "limits": [{"unit": UNIT, "limit": COOP_LIMIT}],
            }
            start = time.monotonic()
            approved = desk.change_charter([entry], late.area.name)
            took = time.monotonic() - start
            self.screen.done(
                _("Approved by {names}").format(names=", ".join(approved)),
                _("in force at all nodes after {time}").format(time=seconds(took)),
            )
            desk.quorum_in_reach(late)
            desk.money.accounts += desk.open_accounts(late)
            newcomer = desk.one(late)
            took = desk.give(desk.one(desk.founders[0]), newcomer, "45min")
            desk.give(newcomer, desk.one(desk.founders[1]), "20min")
            desk.settled()
        self.screen.done(
            _("{coop} has accounts, and its node is the sixth witness").format(coop=late.area.name),
            _("a first 45 min to it: final after {time}").format(time=seconds(took)),
        )

    def audit(self) -> None:
        """Replay everything at every node, audit an export from outside, and write the exports."""
        desk, money = self.desk, self.desk.money
        self.screen.chapter(21, _("An auditor adds everything up"))
        with self.screen.live(_("Replaying every chain at every node…")):
            desk.settled()
            reports = desk.everywhere(_verify)
        for node, report in reports:
            if not report["good"]:
                raise DemoFailed(
                    _("The ledger of {name} is not right: {faults}").format(
                        name=node.area.name, faults="; ".join(report["faults"][:3])
                    )
                )
        report = reports[0][1]
        money.blocks, money.signatures = report["blocks"], report["signatures"]
        money.sums = {total["code"]: total["balance"] for total in report["sums"]}
        money.transfers = len(desk.times)
        money.final_ms_p50 = 1000 * statistics.median(desk.times)
        if any(money.sums.values()):
            raise DemoFailed(_("The accounts do not add up to zero."))
        self.screen.done(
            _("{n} nodes have each replayed {blocks} blocks and {sigs} signatures").format(
                n=len(reports), blocks=report["blocks"], sigs=report["signatures"]
            )
        )
        self._from_outside()

    def _from_outside(self) -> None:
        """Audit what a node exported with a program that knows nothing of nodes."""
        node, money = self.desk.running[0], self.desk.money
        exported, books = self.root / "export", self.root / "books"
        with self.screen.live(_("Auditing from outside…")):
            node.client.post("/v1/ledger/export", {"directory": str(exported)}, timeout=120.0)
            report = _auditor("audit", str(exported))
            books.mkdir()
            for format, name in EXPORTS:
                _auditor("export", str(exported), "--format", format, "-o", str(books / name))
        money.audit_good = True
        money.exports = [name for _format, name in EXPORTS]
        self.screen.done(
            _("An auditor without a node says so too, from an export: python -m maillon.ledger")
        )
        for line in report.splitlines():
            if line.strip():
                self.screen.note(line.strip())
        self.screen.done(
            _("Written for other programs: {names}").format(names=", ".join(money.exports))
        )


def _verify(node: Node) -> tuple[Node, dict[str, Any]]:
    report: dict[str, Any] = node.client.post("/v1/ledger/verify", timeout=AUDIT_S_MAX)
    return node, report


def _auditor(*arguments: str) -> str:
    """Run the auditor's own program and return what it printed. Raises: DemoFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "maillon.ledger", *arguments],
        capture_output=True,
        text=True,
        timeout=AUDIT_S_MAX,
    )
    if done.returncode:
        raise DemoFailed(
            _("The auditor found something wrong: {text}").format(
                text=(done.stdout + done.stderr).strip()[-400:]
            )
        )
    return done.stdout
