"""Remember for a short while what was refused, so that it is not fetched and checked over and over.

Two sorts of memory, because an id is a hash of the header alone:

- A record with a true signature that the view does not allow is refused under its id: whoever sends
  it, it is the same record. Any change of the view forgets all of these: it may be allowed now.
- Bytes whose signature or payload is wrong say nothing about the true record of that id. They are
  remembered under the sender and the id: a spoilt copy makes nobody deaf to the record itself.
"""

from __future__ import annotations

from maillon.node import bounds


class Refusals:
    """Map refused ids to the end of their time, oldest out first, in bounded memory."""

    def __init__(
        self,
        *,
        ids_max: int = bounds.REFUSED_IDS_MAX,
        lifetime_s: float = bounds.REFUSED_LIFETIME_S,
    ) -> None:
        self._ids_max = ids_max
        self._lifetime_s = lifetime_s
        self._by_view: dict[bytes, tuple[float, str]] = {}
        self._by_sender: dict[bytes, tuple[float, str]] = {}

    def __len__(self) -> int:
        return len(self._by_view) + len(self._by_sender)

    def by_view(self, id: bytes, code: str, now: float) -> None:
        """Remember that the view refuses this record."""
        self._remember(self._by_view, id, code, now)

    def by_sender(self, peer: bytes, id: bytes, code: str, now: float) -> None:
        """Remember that this peer's copy of the record is spoilt."""
        self._remember(self._by_sender, peer + id, code, now)

    def code(self, peer: bytes, id: bytes, now: float) -> str | None:
        """Return the code the record was refused with lately, from this peer or by the view."""
        found = self._by_view.get(id)
        if found is None and self._by_sender:
            found = self._by_sender.get(peer + id)
        if found is None:
            return None
        at, code = found
        # A clock set back must not keep an entry for longer than its time.
        return code if 0 <= now - at < self._lifetime_s else None

    def view_changed(self) -> None:
        """Forget what the view refused: it is another view now."""
        self._by_view.clear()

    def _remember(
        self, memory: dict[bytes, tuple[float, str]], key: bytes, code: str, now: float
    ) -> None:
        memory.pop(key, None)
        while len(memory) * 2 >= self._ids_max and memory:
            del memory[next(iter(memory))]
        memory[key] = (now, code)
