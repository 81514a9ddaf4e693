"""What a backup makes of letters."""

from __future__ import annotations

from pathlib import Path

from maillon.node.engine.post.office import ERA, RESTORED
from maillon.node.home import Home
from maillon.node.run.backup import write_backup
from maillon.node.store.lettersdisk import LettersDisk


def test_a_backup_holds_the_letters_and_says_when_it_was_made(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.keys.mkdir(parents=True)
    disk = LettersDisk(home.letters)
    with disk.batch():
        disk.set_meta(ERA, b"e" * 16)
    done = write_backup(home, tmp_path / "copy", records=False)
    assert "letters.db" in done["files"]
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["keys", "letters.db"]
    assert disk.meta(RESTORED) is None
    copy = LettersDisk(tmp_path / "copy" / "letters.db")
    assert copy.meta(ERA) == b"e" * 16
    made = copy.meta(RESTORED)
    assert made is not None and len(made) == 8
    copy.close()
    disk.close()
