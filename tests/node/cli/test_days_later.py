"""What takes days, by commands at real nodes: sealed bids, recoveries, a node made of its backup.

The nodes end and start again with their clocks ahead; between the two, one is brought back from its
backup on an empty disk.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.circuit import Circuit, circuit
from support.commands import Told
from support.nodes import TestNode, wait_for

DAY_S = 86_400
Json = dict[str, Any]


@contextlib.contextmanager
def clock_ahead(seconds: int) -> Generator[None]:
    """Let the commands that run in this process read the clock that the nodes read."""
    real = time.time
    time.time = lambda: real() + seconds
    try:
        yield
    finally:
        time.time = real


class Later:
    """Two coops whose clocks can be set ahead."""

    def __init__(self, two: Circuit) -> None:
        self.two = two
        self.ahead_s = 0

    def tell(self, place: int, *words: str, as_json: bool = True) -> Told:
        with clock_ahead(self.ahead_s):
            return self.two.coops.tell(place, *words, as_json=as_json)

    def do(self, place: int, *words: str) -> Any:
        told = self.tell(place, *words)
        assert told.code == 0, (words, told.err, told.out)
        return told.data

    def words(self, place: int, *words: str) -> str:
        told = self.tell(place, *words, as_json=False)
        assert told.code == 0, (words, told.err, told.out)
        return " ".join(told.out.split())

    def refused(self, place: int, *words: str) -> Json:
        told = self.tell(place, *words)
        assert told.code != 0, (words, told.out)
        return dict(told.error)

    def stop(self) -> None:
        for node in self.two.coops.coops:
            node.stop()

    def start(self, days: int) -> None:
        """Start both nodes so many days later."""
        self.ahead_s = days * DAY_S
        for node in self.two.coops.coops:
            node.ahead_s = self.ahead_s
            node.spawn()
        for node in self.two.coops.coops:
            wait_for(lambda node=node: back(node), f"{node.name} is back")  # type: ignore[misc]


def back(node: TestNode) -> bool:
    assert node.process is not None and node.process.poll() is None, node.log.read_text()[-3_000:]
    return node.listens() and bool(node.get("/v1/status")["peers"]["connected"])


def restore(node: TestNode, backup: Path) -> None:
    """Put a backup in the place of a node's directory.

    What no backup has stays: the password, and what its witness promised, which nobody may bring
    back in an older state. It is as it was when the node ended; with two coops and a new witness
    nothing could be certified until both approve its key (docs/operator.md, "The ledger").
    """
    kept = {name: (node.home / name).read_bytes() for name in ("password", "votes.db")}
    shutil.rmtree(node.home)
    shutil.copytree(backup, node.home)
    for name, data in kept.items():
        (node.home / name).write_bytes(data)
        (node.home / name).chmod(0o600)


def memberships(node: TestNode, person: str) -> dict[str, str]:
    """Return the keys that a node knows of a person of any coop, with their status."""
    found = node.get("/v1/records", kind="membership", limit=1000)["records"]
    return {
        r["payload"]["key"]: r["payload"]["status"]
        for r in found
        if r["payload"]["person"] == person
    }


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Json]:
    """Begin what takes days, let a week pass with a disk lost in it, and end it."""
    directory = tmp_path_factory.mktemp("l")
    with pytest.MonkeyPatch.context() as screen, circuit(directory) as two:
        # Wide enough that no cell of a table is broken.
        screen.setenv("COLUMNS", "300")
        later, told = Later(two), Json()
        told["later"] = later
        a, b = two.coops.coops
        # Somebody whose key is lost, and somebody whose key is not.
        for name in ("Perdue Ada", "Volée Zoé"):
            two.coops.enrol(0, name, "--unit", "heure", "--limit", "5h")
            told[name] = later.do(
                0, "person", "recovery", "begin", name, "--procedure", "Vue au guichet",
                "--days", "7",
            )  # fmt: skip
        told["listed"] = later.do(0, "person", "recovery", "list")
        told["listed_words"] = later.words(0, "person", "recovery", "list")
        told["early"] = {
            name: memberships(b, told[name]["person"]) for name in ("Perdue Ada", "Volée Zoé")
        }
        told["contested_words"] = later.words(
            0, "person", "recovery", "contest", told["Volée Zoé"]["recovery"][:10]
        )
        # An auction in which nobody sees a price.
        opened = later.do(
            0, "auction", "open", "--title", "Repeindre le préau", "--category", "aide",
            "--closes", "7d", "--sealed", "--reveal-until", "9d", "--as-member", "Ana",
        )  # fmt: skip
        id = told["auction"] = str(opened["id"])
        wait_for(lambda: id in b.ids("demand"), "the auction is at both")
        told["bid_words"] = later.words(1, "auction", "bid", id, "2h30", "--by", "Bruno")
        told["bid"] = later.do(1, "auction", "bid", id, "2h", "--by", "Chloé", "--text", "Oui")
        wait_for(lambda: len(a.ids("bid")) == 2, "the bids are at both")
        told["sealed_show"] = later.do(0, "auction", "show", id)
        told["sealed_words"] = later.words(0, "auction", "show", id)
        told["too_early"] = [
            later.refused(1, "auction", "reveal", id, "--by", "Ana Inconnue"),
            later.refused(0, "auction", "close", id, "--by", "Ana"),
            later.refused(0, "auction", "award", id, "--by", "Ana"),
        ]
        # Both write a backup. One loses its disk, the other the file that opens its bids.
        for place, name in enumerate("ab"):
            told[f"backup {name}"] = later.do(place, "backup", str(directory / f"backup-{name}"))
        later.stop()
        restore(a, directory / "backup-a")
        for path in b.home.glob("matching.db*"):
            path.unlink()
        shutil.copy(directory / "backup-b" / "matching.db", b.home)
        later.start(8)
        told["closed"] = later.do(0, "auction", "close", id, "--by", "Ana")
        told["closed_words"] = later.words(0, "auction", "show", id)
        wait_for(lambda: b.ids("auction_close"), "the close is at both")
        told["reveal_words"] = later.words(1, "auction", "reveal", id, "--by", "Bruno")
        told["revealed"] = later.do(1, "auction", "reveal", id, "--by", "Chloé")
        told["reveal_again"] = later.refused(1, "auction", "reveal", id, "--by", "Chloé")
        wait_for(lambda: len(a.ids("bid_reveal")) == 2, "the prices are at both")
        told["award_early"] = later.refused(0, "auction", "award", id, "--by", "Ana")
        wait_for(
            lambda: memberships(b, told["Perdue Ada"]["person"]).get(
                told["Perdue Ada"]["new_key"]
            ) == "active",
            "the new key counts at the other coop",
        )  # fmt: skip
        # The account follows by the ledger's own recovery, which waits once more.
        wait_for(
            lambda: account_of(later, "Perdue Ada") == "pending", "the account's recovery waits"
        )
        later.stop()
        later.start(30)
        yield told


def recovery(later: Later, name: str) -> Json:
    entries = later.do(0, "person", "recovery", "list")["recoveries"]
    return next(entry for entry in entries if entry["name"] == name)


def account_of(later: Later, name: str) -> str:
    """Tell whether the new key spends from the account."""
    return str(recovery(later, name)["account"])


def test_a_recovery_is_open_to_all_and_gives_the_new_key_no_power_before_its_time(
    story: Json,
) -> None:
    assert {entry["status"] for entry in story["listed"]["recoveries"]} == {"open"}
    assert "can be contested" in story["listed_words"] and "Vue au guichet" in story["listed_words"]
    for name in ("Perdue Ada", "Volée Zoé"):
        begun = story[name]
        assert begun["contest_until"] - begun["at"] == 7 * DAY_S
        assert set(story["early"][name].values()) == {"active"}
        assert set(story["early"][name]) == {begun["old_key"]}


def test_a_recovery_that_was_contested_gives_nothing_at_either_coop(story: Json) -> None:
    assert story["contested_words"] == "Contested: the new key does not count."
    begun, coops = story["Volée Zoé"], story["later"].two.coops.coops
    entry = recovery(story["later"], "Volée Zoé")
    assert (entry["status"], entry["contested_by"]) == ("contested", begun["old_key"])
    for node in coops:
        assert memberships(node, begun["person"]) == {begun["old_key"]: "active"}
        assert len(node.ids("contest")) == 1
    # The old key goes on: it still speaks for its owner.
    made = story["later"].do(
        0, "offer", "publish", "--title", "Lire à voix haute", "--category", "aide", 
        "--as-member", "Volée Zoé",
    )  # fmt: skip
    wait_for(lambda: made["id"] in coops[1].ids("offer"), "the other coop takes it")


def test_a_recovery_that_nobody_contested_gives_the_new_key_power_at_both_coops(
    story: Json,
) -> None:
    later: Later = story["later"]
    begun, (a, b) = story["Perdue Ada"], later.two.coops.coops
    for node in (a, b):
        found = memberships(node, begun["person"])
        assert (found[begun["new_key"]], found[begun["old_key"]]) == ("active", "revoked")
    assert recovery(later, "Perdue Ada")["status"] == "done"
    made = later.do(
        0, "offer", "publish", "--title", "Tricoter", "--category", "aide", 
        "--as-member", "Perdue Ada",
    )  # fmt: skip
    wait_for(lambda: made["id"] in b.ids("offer"), "the other coop takes it")
    signed = next(
        r for r in b.get("/v1/records", kind="offer", limit=100)["records"] if r["id"] == made["id"]
    )
    assert signed["by"] == begun["new_key"]
    wait_for(lambda: account_of(later, "Perdue Ada") == "yes", "it spends from the account")
    shown = later.words(0, "person", "show", "Perdue Ada")
    assert "spends" in shown and "revoked" in shown
    paid = later.do(0, "transfer", "send", "Perdue Ada", "Hélène Exemple", "10min")
    assert paid["status"] == "certified"


def test_nobody_sees_the_price_of_a_sealed_bid_before_all_are_in(story: Json) -> None:
    shown = story["sealed_show"]
    assert (shown["bids"], len(shown["unopened"]), shown["ranking"]) == (2, 2, [])
    assert shown["auction"]["form"] == "sealed" and not shown["closed"]
    assert story["sealed_words"].count("sealed") == 2 and "2h" not in story["sealed_words"]
    assert "Your sealed bid" in story["bid_words"] and "auction reveal" in story["bid_words"]
    a = story["later"].two.coops.coops[0]
    bids = a.get("/v1/records", kind="bid", limit=100)["records"]
    assert all("amount" not in bid["payload"] and bid["payload"]["commit"] for bid in bids)
    assert [error["code"] for error in story["too_early"]] == ["not_found", "step", "step"]


def test_a_node_made_of_its_backup_still_opens_its_bids_and_its_lot(story: Json) -> None:
    for name in "ab":
        files = story[f"backup {name}"]["files"]
        assert "matching.db" in files and "votes.db" not in files
    assert "Opened: 2h30." in story["reveal_words"]
    assert len(story["revealed"]["revealed"]) == 1
    assert story["reveal_again"]["code"] == "not_found"
    assert story["award_early"]["code"] == "step"


def test_the_award_is_recomputed_by_the_other_node_from_the_records_alone(story: Json) -> None:
    later, id = story["later"], story["auction"]
    a, b = later.two.coops.coops
    wrong = later.refused(0, "auction", "award", id, "--by", "Ana", "--secret", "00" * 32)
    assert wrong["code"] == "usage" and not a.ids("award")
    told = later.words(0, "auction", "award", id, "--by", "Ana")
    assert "for 2h00" in told and "exchange open" in told
    wait_for(lambda: b.ids("award"), "the award is at both")
    first, second = (later.do(place, "auction", "show", id) for place in (0, 1))
    assert second["award_right"] is True and first["winner"] == second["winner"]
    assert second["winner"] == story["bid"]["id"] and second["amount"] == 120
    assert [bid["amount"] for bid in second["ranking"]] == [120, 150]
    assert "Computed here: Chloé Exemple wins with 2h00." in later.words(1, "auction", "show", id)
    assert "The award says the same." in later.words(1, "auction", "show", id)
    listed = later.do(1, "auction", "list")["records"]
    assert [entry["id"] for entry in listed] == [id]
    assert "Repeindre le préau" in later.words(1, "auction", "list")
    # What opened it is public now, and kept nowhere any more.
    for node, person in ((a, "coop"), (b, "coop")):
        assert node.get("/v1/auctions/openings", person=person)["openings"] == []
