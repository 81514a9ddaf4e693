"""The dishonest part of the demonstration: hours spent twice, and a writer that lies outright."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from maillon.node.cli.paying import status_in_words
from maillon.node.demo.display import Screen, seconds
from maillon.node.demo.nodes import DemoFailed, Node, wait_until
from maillon.node.demo.orders import FINAL_WITHIN_S, Desk, Resident
from maillon.node.i18n import _, ngettext

# How long each copy waits for its own transfer: one of the two waits in vain.
COPY_WAIT_S = 8.0
LIAR_S_MAX = 90.0


class Cheats:
    """What a coop may try, and what becomes of it."""

    def __init__(self, desk: Desk, root: Path, screen: Screen) -> None:
        self.desk = desk
        self.root = root
        self.screen = screen
        self.copy: Node | None = None

    # --- two copies -----------------------------------------------------------------------------

    def copies(self) -> None:
        """Run two copies of one node from one backup and spend the same hours in both."""
        desk = self.desk
        cheat = desk.founders[4]
        self.screen.chapter(10, _("Two copies of one node spend the same hours twice"))
        payer = desk.one(cheat)
        goals = (desk.one(desk.founders[0]), desk.one(desk.founders[1]))
        with self.screen.live(_("Making the copy…")) as moving:
            copy = self._copy(cheat)
            copy.start()
            desk.alive(copy)
            whole = int(desk.position(payer)["available"])
            before = [desk.balance(goal) for goal in goals]
            moving.text = _("Spending twice…")
            with ThreadPoolExecutor(2) as pool:
                tries = [
                    pool.submit(desk.order, payer, goal, whole, COPY_WAIT_S, at=node)
                    for node, goal in zip((cheat, copy), goals, strict=True)
                ]
                answers = [found.result() for found in tries]
            copy.kill()
            if cheat.client.get("/v1/ledger")["writer"]["state"] == "stopped":
                # An instance that met another one stops; alone again, it begins anew.
                cheat.stop()
                cheat.start()
                desk.alive(cheat)
            desk.is_decided(cheat, [answer["id"] for answer in answers])
            desk.settled()
        gained = [desk.balance(g) - b for g, b in zip(goals, before, strict=True)]
        if sum(gained) > whole or int(desk.position(payer)["available"]) < 0:
            raise DemoFailed(_("The same hours were spent twice."))
        money = desk.money
        money.copies_final = sum(bool(amount) for amount in gained)
        if money.copies_final != 1:
            raise DemoFailed(_("Neither of the two transfers became final."))
        self.screen.done(
            _("{coop} ran twice, and in each copy one resident gave all there was").format(
                coop=cheat.area.name
            )
        )
        for name, answer in zip((_("the node"), _("its copy")), answers, strict=True):
            self.screen.note(f"{name} — {status_in_words(answer)}")
        self.screen.done(
            ngettext(
                "{n} of the two is final; the hours were spent once",
                "{n} of the two are final; the hours were spent once",
                money.copies_final,
            ).format(n=money.copies_final)
        )

    def _copy(self, node: Node) -> Node:
        """Return a second node made from a backup of the first: the same keys, another port."""
        made = Node(node.area, self.root / "copy")
        made.home.path.parent.mkdir(parents=True, exist_ok=True)
        node.command("backup", str(made.home.path))
        if made.home.votes.exists():
            raise DemoFailed(_("A backup holds what a witness promised; it must not."))
        shutil.copy2(node.home.path / "password", made.home.path / "password")
        config = made.home.config
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace(f"/tcp/{node.port}", f"/tcp/{made.port}"), encoding="utf-8")
        self.copy = made
        return made

    # --- lying outright -------------------------------------------------------------------------

    def lie(self) -> None:
        """Let a writer sign two blocks at one place, on the wire, and replace it by a trustee."""
        desk = self.desk
        liar, trustee = desk.founders[4], desk.founders[0]
        self.screen.chapter(11, _("A coop lies outright, and a trustee takes its place"))
        payer = desk.one(liar, 1)
        goals = (desk.one(desk.founders[0]), desk.one(desk.founders[1]))
        with self.screen.live(_("Lying…")):
            before = [desk.balance(goal) for goal in goals]
            liar.stop()
            told = self._run_liar(liar, payer, goals)
            wait_until(
                _("every node holds the proof of the lie"),
                lambda: all(_proofs(node) for node in desk.running),
                within_s=FINAL_WITHIN_S,
            )
        if [desk.balance(goal) for goal in goals] != before:
            raise DemoFailed(_("A lie moved hours."))
        money = desk.money
        money.lie_votes, money.lie_quorum = told["votes"], told["quorum"]
        proof = _proofs(desk.running[0])[0]
        money.fork_proofs = len(_proofs(desk.running[0]))
        self.screen.done(
            _("{coop} signs two blocks at one place, and shows each to half of the others").format(
                coop=liar.area.name
            ),
            _("{a} and {b} votes; it takes {quorum}").format(
                a=told["votes"][0], b=told["votes"][1], quorum=told["quorum"]
            ),
        )
        self.screen.done(
            _("Then it shows both to all: every node holds the proof, and its chain stands still")
        )
        self.screen.note(proof["sentence"])
        self._replace(liar, trustee, proof)

    def _run_liar(
        self, liar: Node, payer: Resident, goals: tuple[Resident, Resident]
    ) -> dict[str, Any]:
        parties = [f"{self.desk.coop(goal.node)}:{goal.person}" for goal in goals]
        done = subprocess.run(
            [sys.executable, "-m", "maillon.node.demo.liar", str(liar.home.path), payer.person]
            + parties,
            capture_output=True,
            timeout=LIAR_S_MAX,
        )
        if done.returncode:
            raise DemoFailed(
                _("The lying process ended with {code}: {text}").format(
                    code=done.returncode, text=done.stderr.decode(errors="replace").strip()[-400:]
                )
            )
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def _replace(self, liar: Node, trustee: Node, proof: dict[str, Any]) -> None:
        desk = self.desk
        with self.screen.live(_("Replacing the coop's writer…")):
            coop = desk.coop(liar)
            height = desk.height(trustee, coop)
            entries = [
                {"entry": "key", "coop": coop, "role": "writer", "key": ""},
                {"entry": "trustee", "coop": coop, "trustee": desk.coop(trustee)},
                {"entry": "clear", "chain": proof["chain"], "fraud": proof["hash"]},
            ]
            approved = desk.change_charter(entries, liar.area.name)
            took = wait_until(
                _("the trustee has gone on with the chain"),
                lambda: desk.height(trustee, coop) > height,
                within_s=FINAL_WITHIN_S,
            )
            # Its members need their coop's node, whoever writes the blocks.
            liar.start()
            desk.alive(liar)
        self.screen.done(
            _("{trustee} writes for it from now on").format(trustee=trustee.area.name),
            _("its chain goes on after {time}").format(time=seconds(took)),
        )
        self.screen.note(_("Approved by {names}").format(names=", ".join(approved)))


def _proofs(node: Node) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = node.client.get("/v1/ledger/fork-proofs")["proofs"]
    return [proof for proof in found if not proof["cleared"]]
