"""The commands by which a federation is founded again; what they do is in tests/node/run."""

from __future__ import annotations

from pathlib import Path

from maillon.ledger.book import Book
from maillon.ledger.signing import inline_verify
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.protocol.founding import open_founding
from support.commands import Run


def test_a_lone_coop_founds_itself_again_step_by_step(ready: Run, home: Path) -> None:
    file = str(home / "again.maillon")
    assert ready("federation", "found", "--name", "Seule").code == 0
    command = ("federation", "refound")
    told = ready(*command, "propose", "--keep", "Coop", "-o", file, "--json")
    assert told.code == 0, told.err
    assert (told.data["height"], told.data["needed"]) == (1, 1)
    shown = ready(*command, "show", file)
    assert shown.code == 0 and "Enough have signed" in shown.out
    assert ready(*command, "sign", "--yes", file).code == 0
    assert ready(*command, "install", file).code == 0
    disk = SqliteDisk(home)
    book = Book(open_founding((home / "founding.bin").read_bytes()), disk, inline_verify)
    disk.close()
    assert book.charter.latest.refounded == 1
    # Once is enough.
    again = ready(*command, "install", file, "--json")
    assert again.code != 0 and again.error["code"] == "bad_block"


def test_what_is_not_right_is_told_and_nothing_is_written(ready: Run, home: Path) -> None:
    file = home / "again.maillon"
    command = ("federation", "refound")
    early = ready(*command, "propose", "--keep", "Coop", "-o", str(file), "--json")
    assert early.error["code"] == "no_federation"
    assert ready("federation", "found", "--name", "F", "--no-accounts").code == 0
    told = ready(*command, "propose", "--keep", "Coop", "-o", str(file), "--json")
    assert told.error["code"] == "no_ledger"
    assert not file.exists()
