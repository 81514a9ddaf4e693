"""Joining when several founders must agree, and coming back after a machine was lost."""

from __future__ import annotations

import json
from pathlib import Path

from support.nodes import maillon, nodes, told, wait_for


def test_a_newcomer_counts_once_enough_founders_have_admitted_it(tmp_path: Path) -> None:
    with nodes(tmp_path, "a", "b", "c") as (a, b, c):
        file = str(tmp_path / "fed")
        a.init()
        b.init()
        card = b.cli("federation", "card")["card"]
        a.cli("federation", "found", "--name", "Deux", "--quorum", "2", "-o", file, card)
        b.cli("federation", "sign", "--yes", file)
        for node in (a, b):
            node.cli("federation", "install", file)
            node.start()
        wait_for(lambda: a.get("/v1/status")["records"].get("coop_profile") == 2, "profiles")
        code = a.cli("federation", "invite")["code"]
        joined = c.init().cli("federation", "join", code)
        assert (joined["missing"], joined["may_admit"]) == (1, ["Coop B"])
        c.start()
        early = maillon(c.home, "offer", "publish", "--title", "T", "--category", "x", "--json")
        assert early.returncode == 4
        error = json.loads(early.stderr)["error"]
        assert error["code"] == "not_admitted" and "1 of 2" in error["message"]
        assert "Coop B" in error["hint"] and "Coop A" not in error["hint"]
        coops = {coop["coop"]: coop for coop in c.get("/v1/federation")["coops"]}
        newcomer = coops[c.get("/v1/status")["coop"]]
        assert (newcomer["admitted"], newcomer["admissions"]) == (False, 1)
        assert c.get("/v1/status")["notices"]

        assert b.cli("federation", "admit", joined["card"])["missing"] == 0
        wait_for(lambda: c.get("/v1/status")["peers"]["connected"] == 2, "c is let in")
        wait_for(lambda: not c.get("/v1/status")["notices"], "c knows that it belongs")
        made = c.cli("offer", "publish", "--title", "Enfin", "--category", "x")
        for node in (a, b):
            wait_for(lambda node=node: made["id"] in node.ids("offer"), "the offer arrives")  # type: ignore[misc]


def test_a_lost_coop_comes_back_with_its_words_and_owns_what_it_said(tmp_path: Path) -> None:
    with nodes(tmp_path, "a", "b", "n") as (a, b, n):
        a.init().cli("federation", "found", "--name", "Fed")
        a.start()
        b.init().cli("federation", "join", a.cli("federation", "invite")["code"])
        b.start()
        made = b.cli("offer", "publish", "--title", "Avant la perte", "--category", "x")
        wait_for(lambda: made["id"] in a.ids("offer"), "the offer has arrived")
        words = b.cli("key", "words")["words"]
        b.kill()

        # Another machine, from nothing but the paper.
        paper = tmp_path / "paper"
        paper.write_text(words)
        secret = b.home / "password"
        told(
            n.home, "key", "restore", "--words-file", str(paper), "--name", "Coop B",
            "--listen", f"/ip4/127.0.0.1/tcp/{n.port}", "--password-file", str(secret),
        )  # fmt: skip
        (n.home / "password").write_bytes(secret.read_bytes())
        (n.home / "password").chmod(0o600)
        joined = n.cli("federation", "join", a.cli("federation", "invite")["code"])
        assert joined["missing"] == 0
        n.start()
        assert n.get("/v1/status")["coop"] == joined["coop"]
        wait_for(lambda: made["id"] in n.ids("offer"), "its own offer came back")
        wait_for(lambda: n.get("/v1/status")["peers"]["connected"] == 1, "the two are connected")
        n.cli("offer", "withdraw", made["id"])
        wait_for(lambda: made["id"] not in a.ids("offer"), "the withdrawal counts")
        # The key of the lost machine speaks for nobody any more.
        b.start()
        later = maillon(b.home, "offer", "publish", "--title", "Voleur", "--category", "x")
        assert not [r for r in a.get("/v1/records", kind="offer")["records"]
                    if r["payload"]["title"] == "Voleur"]  # fmt: skip
        assert later.returncode in (0, 4)
