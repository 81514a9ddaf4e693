"""Keep what opens sealed bids and lots until it is opened: sealed in matching.db, in every backup.

Without the nonce nobody can open a bid, without its secret nobody can break the ties of an auction
(spec/03, auctions). So it is kept before its hash is published, and durable when that is answered.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from maillon.node.api import matching_shapes as shapes
from maillon.node.home import sync_directory
from maillon.node.i18n import _
from maillon.node.matching import bounds
from maillon.node.matching.host import Host
from maillon.node.matching.storage import MatchingDisk, OpeningRow
from maillon.protocol.auctions import commitment, lot
from maillon.protocol.envelope import Valid
from maillon.protocol.errors import LocalError, MaillonError
from maillon.protocol.records import DAY_S
from maillon.protocol.view import coop_author

BID: Final = "bid"
LOT: Final = "lot"
HASH_BYTES: Final = 32

OLD_FILE: Final = "auctions.json"
"""Where the command line kept the same before, in clear and outside of backups."""
OLD_FILE_BYTES_MAX: Final = 4 << 20
OLD_DAYS: Final = 400
"""For what came out of the old file about an auction that is not known any more: as long as the
longest demand."""


class NoOpening(LocalError):
    """What was given does not open the hash it came with."""

    code = "usage"


class TooManyOpenings(LocalError):
    """There is no room for another sealed bid."""

    code = "quota"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a row is sealed as."""

    nonce: str
    demand: str
    amount: int | None


def read_hash(text: str) -> bytes:
    """Read a hash; what is none is the hash of nothing."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def hash_of(kind: str, kept: Kept) -> bytes:
    """Return what is published for it. Raises: NoOpening when a part is missing."""
    nonce = bytes.fromhex(kept.nonce)
    if kind == LOT:
        return lot(nonce)
    if not kept.demand or kept.amount is None:
        raise NoOpening(_("A sealed bid has a demand and an amount."))
    return commitment(bytes.fromhex(kept.demand), kept.amount, nonce)


class Keeping:
    """What opens the bids and lots of people here."""

    def __init__(self, host: Host, disk: MatchingDisk) -> None:
        self._host = host
        self._disk = disk

    def keep(self, author: bytes, request: shapes.OpeningRequest) -> OpeningRow:
        """Keep what opens a hash; the same again is kept once. Raises: NoOpening, TooMany."""
        hash = bytes.fromhex(request.hash)
        kept = Kept(request.nonce, request.demand or "", request.amount)
        if not hmac.compare_digest(hash_of(request.kind, kept), hash):
            raise NoOpening(
                _("That does not open {hash}.").format(hash=request.hash[:8]),
                hint=_("It is computed as spec/03 says of auctions; nothing was kept."),
            )
        known = self._disk.opening(hash)
        if known is not None:
            return known
        if (
            self._disk.count_openings(author) >= bounds.OPENINGS_PER_PERSON_MAX
            or self._disk.count_openings() >= bounds.OPENINGS_MAX
        ):
            raise TooManyOpenings(
                _("Too many sealed bids wait to be opened."),
                hint=_("Open those whose auction has closed."),
            )
        row = self._row(hash, author, request.kind, kept, request.until)
        self._disk.add_opening(row)
        return row

    def _row(self, hash: bytes, author: bytes, kind: str, kept: Kept, until: int) -> OpeningRow:
        sealed = self._host.register.seal(msgspec.json.encode(kept), hash)
        return OpeningRow(hash, author, kind, sealed, self._host.time(), until)

    def find(self, hash: bytes) -> OpeningRow | None:
        """Return what opens a hash."""
        return self._disk.opening(hash)

    def of(self, author: bytes) -> list[OpeningRow]:
        """Return what is kept for somebody, the oldest first."""
        return self._disk.openings(author, bounds.OPENINGS_PER_PERSON_MAX)

    def shown(self, row: OpeningRow) -> shapes.Opening:
        """Open a row for its owner."""
        kept = msgspec.json.decode(self._host.register.unseal(row.sealed, row.hash), type=Kept)
        return shapes.Opening(
            row.kind, row.hash.hex(), kept.nonce, kept.demand, kept.amount, row.author.hex(),
            row.made_at, row.until,
        )  # fmt: skip

    # --- what was kept in a file before ---------------------------------------------------------

    def take_over(self, home: Path) -> int:
        """Take in the old file whole and remove it; return how many openings it had.

        It is removed once the database has committed: a power cut between leaves both, and taking
        it in again changes nothing. Raises: LocalError when it cannot be read, and leaves it.
        """
        path = home / OLD_FILE
        try:
            with path.open("rb") as file:
                found: Any = json.loads(file.read(OLD_FILE_BYTES_MAX))
        except FileNotFoundError:
            return 0
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise LocalError(
                _("{path} is damaged.").format(path=path),
                hint=_("Bring it back from a backup, or move it away."),
            )
        taken = 0
        try:
            rows = list(self._old(cast("dict[str, dict[str, Any]]", found)))
        except (KeyError, ValueError, TypeError, AttributeError, MaillonError) as fault:
            raise LocalError(
                _("{path} is damaged.").format(path=path),
                hint=_("Bring it back from a backup, or move it away."),
            ) from fault
        with self._disk.batch():
            for row in rows:
                taken += self._disk.add_opening(row)
        path.unlink()
        sync_directory(home)
        return taken

    def _old(self, found: dict[str, dict[str, Any]]) -> Iterator[OpeningRow]:
        demands = {valid.thing: valid for valid in self._host.store.by_kinds(("demand",))}
        bids = {bytes(v.signed.id): v for v in self._host.store.by_kinds(("bid",))}
        whose: Valid | None
        for id, entry in found.items():
            if "secret" in entry:
                kind, kept = LOT, Kept(str(entry["secret"]), "", None)
                about = demands.get(bytes.fromhex(id))
                whose = about
            else:
                kind = BID
                kept = Kept(str(entry["nonce"]), str(entry["demand"]), int(entry["amount"]))
                about = demands.get(bytes.fromhex(kept.demand))
                whose = bids.get(bytes.fromhex(id))
            author = coop_author(self._host.coop) if whose is None else whose.author
            yield self._row(hash_of(kind, kept), author, kind, kept, self._due(about))

    def _due(self, demand: Valid | None) -> int:
        payload: dict[str, Any] = {}
        if demand is not None:
            payload = cast("dict[str, Any]", demand.signed.payload or {})
        rules: dict[str, Any] = payload.get("auction", {})
        last = rules.get("reveal_until", rules.get("closes"))
        return self._host.time() + OLD_DAYS * DAY_S if last is None else int(last)
