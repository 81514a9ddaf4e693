"""Show and erase what letters.db holds about a person: letters they wrote, letters to them.

The letters themselves are sealed; what can be shown of them is what every letter shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maillon.node.engine.post.ports import In, Out
from maillon.node.store.database import faults_in_words, scrub_wal
from maillon.node.store.lettersdisk import LettersDisk


class LetterTraces:
    """What a letters.db holds about persons (persons.host.Holding)."""

    def __init__(self, disk: LettersDisk) -> None:
        self._disk = disk

    def _rows(self, table: str, condition: str, values: Sequence[bytes]) -> list[Any]:
        with faults_in_words("letters.db"):
            found: list[Any] = (
                self._disk.connection()
                .execute(f"SELECT id FROM {table} WHERE {condition}", values)
                .fetchall()
            )
        return found

    def _ours(self, author: bytes, sealing: Sequence[bytes]) -> list[bytes]:
        marks = ", ".join("?" * len(sealing))
        condition = f"owner = ? OR to_key IN ({marks}) ORDER BY serial"
        return [row[0] for row in self._rows("outgoing", condition, (author, *sealing))]

    def _theirs(self, sealing: Sequence[bytes]) -> list[bytes]:
        marks = ", ".join("?" * len(sealing))
        condition = f"to_key IN ({marks}) ORDER BY k"
        return [row[0] for row in self._rows("incoming", condition, sealing)]

    def erase_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> int:
        """Erase the letters that a person wrote and those to them; return how many it were.

        The numbers of what was not sent yet are told to the other nodes when they ask.
        """
        with self._disk.batch():
            ours, theirs = self._ours(author, sealing), self._theirs(sealing)
            self._disk.drop_out(ours)
            self._disk.drop_in(theirs)
        return len(ours) + len(theirs)

    def export_person(
        self, author: bytes, keys: Sequence[bytes], sealing: Sequence[bytes], /
    ) -> object:
        """Return what is kept of letters by a person and to them."""
        written: list[dict[str, object]] = []
        for id in self._ours(author, sealing):
            row = self._disk.out(id)
            if row is not None:
                written.append(
                    {
                        "id": id.hex(), "to_coop": row.coop.hex(), "to_key": row.to_key.hex(),
                        "at": row.at, "until": row.until, "size": row.size,
                        "state": Out(row.state).name.lower(), "code": row.code,
                        "letter": row.letter.hex(),
                    }
                )  # fmt: skip
        received: list[dict[str, object]] = []
        for id in self._theirs(sealing):
            letter = self._disk.letter(id)
            if letter is not None:
                received.append(
                    {
                        "id": id.hex(), "from_coop": letter.coop.hex(),
                        "to_key": letter.to_key.hex(), "received_at": letter.received_at,
                        "until": letter.until, "size": letter.size,
                        "state": In(letter.state).name.lower(), "letter": letter.letter.hex(),
                    }
                )  # fmt: skip
        return {"written": written, "received": received}

    def forget_before(self, at: int, what: str, /) -> int:
        """Remove nothing: the post office ends letters by itself (engine/post/keeping.py)."""
        return 0

    def scrub(self) -> object:
        """Rewrite the file and cut its log, so that nothing erased is left in either."""
        connection = self._disk.connection()
        with faults_in_words("letters.db"):
            connection.execute("VACUUM")
            return scrub_wal(connection)
