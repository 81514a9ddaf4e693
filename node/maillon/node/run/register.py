"""The private register: names of people, the keys this node holds for them, open invitations.

It exists nowhere else and leaves the node only in a backup, so it is written with FULL
synchronisation. The keys of people are sealed with a key derived from the coop's sealing key: a
copied file without the coop's password opens none of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlite_utils import Database

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.store.database import (
    Schema,
    faults_in_words,
    open_database,
    require_whole,
    scrub_wal,
)
from maillon.protocol.errors import LocalError
from maillon.protocol.keys import SealingKey, SigningKey

NONCE_BYTES = 12
INFO = b"maillon/1/register"

APPLICATION_ID: Final = 0x4D524547  # "MREG"
CACHE_KIB: Final = 2_048


def _version_1(database: Database) -> None:
    for statement in (
        "CREATE TABLE person (id BLOB PRIMARY KEY, name TEXT NOT NULL, note TEXT NOT NULL, "
        "created INTEGER NOT NULL) STRICT",
        # `secret` is 32 bytes of seed and 32 of sealing secret, sealed; NULL for devices.
        "CREATE TABLE key (public BLOB PRIMARY KEY, person BLOB NOT NULL REFERENCES person (id), "
        "sealing BLOB NOT NULL, custody TEXT NOT NULL, secret BLOB, created INTEGER NOT NULL) "
        "STRICT",
        "CREATE INDEX key_person ON key (person)",
        # `used_by` is the root key of the coop that joined with it.
        "CREATE TABLE invitation (token_hash BLOB PRIMARY KEY, expires INTEGER NOT NULL, "
        "note TEXT NOT NULL, used_at INTEGER, used_by BLOB) STRICT",
    ):
        database.execute(statement)  # pyright: ignore[reportUnknownMemberType]


def _version_2(database: Database) -> None:
    # What a transfer was for, and the salt that hides it in `ref`: on no chain, only here.
    database.execute(  # pyright: ignore[reportUnknownMemberType]
        "CREATE TABLE memo (ref BLOB PRIMARY KEY, salt BLOB NOT NULL, text TEXT NOT NULL, "
        "created INTEGER NOT NULL) STRICT"
    )


PRIVATE_DB: Final = Schema("private register", APPLICATION_ID, (_version_1, _version_2))


class RegisterError(LocalError):
    """The register does not hold what was asked for, or would hold too much."""

    code = "register"


class NotFound(RegisterError):
    """Nothing here has this id."""

    code = "not_found"


class Ambiguous(RegisterError):
    """The beginning of an id fits several."""

    code = "ambiguous"


@dataclass(frozen=True, slots=True)
class Person:
    id: bytes
    name: str
    note: str
    created: int


@dataclass(frozen=True, slots=True)
class PersonKey:
    public: bytes
    person: bytes
    sealing: bytes
    custody: str
    held: bool


class Register:
    """The register in <home>/private.db."""

    def __init__(self, path: Path, sealing: SealingKey) -> None:
        self._cipher = ChaCha20Poly1305(
            HKDF(algorithm=SHA256(), length=32, salt=None, info=INFO).derive(sealing.secret_bytes())
        )
        self._path = path
        self._coop_sealing = sealing.public
        self._db: Any = open_database(path, PRIVATE_DB, synchronous="FULL", cache_kib=CACHE_KIB)
        try:
            self.check()
        except BaseException:
            self._db.close()
            raise

    def check(self) -> None:
        """Read the whole file and compare its tables with their indexes. Raises: StoreDamaged.

        A damaged page otherwise looks like people who were never registered: their names would
        come out empty, and a backup made then would be the only one left some day.
        """
        require_whole(self._db, self._path)

    def close(self) -> None:
        self._db.close()

    def _run(self, statement: str, values: Sequence[object] = ()) -> Any:
        with faults_in_words(self._path):
            return self._db.execute(statement, values)

    @contextlib.contextmanager
    def batch(self) -> Generator[None]:
        """Make several changes as one."""
        self._run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._run("ROLLBACK")
            raise
        self._run("COMMIT")

    # --- people ---------------------------------------------------------------------------------

    def add_person(self, id: bytes, name: str, note: str, now: int) -> None:
        (count,) = self._run("SELECT count(*) FROM person").fetchone()
        if count >= bounds.REGISTER_ROWS_MAX:
            raise RegisterError(_("The register is full."))
        self._run("INSERT INTO person VALUES (?, ?, ?, ?)", (id, name, note, now))

    def person(self, id: bytes) -> Person | None:
        row = self._run("SELECT * FROM person WHERE id = ?", (id,)).fetchone()
        return None if row is None else Person(*row)

    def find_person(self, prefix: str) -> Person:
        """Return the person whose id begins so. Raises: NotFound, Ambiguous."""
        rows: list[Any] = []
        if re.fullmatch(r"[0-9a-f]{1,32}", prefix):
            low, high = bytes.fromhex(prefix.ljust(32, "0")), bytes.fromhex(prefix.ljust(32, "f"))
            rows = self._run(
                "SELECT * FROM person WHERE id BETWEEN ? AND ? LIMIT 2", (low, high)
            ).fetchall()
        if not rows:
            raise NotFound(
                _("Nobody of your coop has the id {id}.").format(id=prefix),
                hint=_("See the ids with: maillon member list"),
            )
        if len(rows) > 1:
            raise Ambiguous(_("Several people's ids begin with {id}.").format(id=prefix))
        return Person(*rows[0])

    def name_of(self, person: bytes) -> str:
        """Return a person's name, or an empty text when it is not known here."""
        found = self.person(person)
        return "" if found is None else found.name

    # --- keys -----------------------------------------------------------------------------------

    def add_key(
        self,
        person: bytes,
        public: bytes,
        sealing: bytes,
        custody: str,
        now: int,
        secrets: tuple[SigningKey, SealingKey] | None = None,
    ) -> None:
        """Note a key of a person; with `secrets`, the node holds it for them.

        Letters are given to whose key's sealing key they are sealed to (spec/08-letters "A node"),
        so nobody gets a sealing key of somebody else or of the coop. Raises: RegisterError.
        """
        secret: bytes | None = None
        if secrets is not None:
            secret = self.seal(secrets[0].secret_bytes() + secrets[1].secret_bytes(), public)
        if self._run("SELECT 1 FROM key WHERE public = ?", (public,)).fetchone():
            raise RegisterError(_("This key is registered already."))
        of_another = "SELECT 1 FROM key WHERE sealing = ? AND public != ? AND person != ?"
        if (
            sealing == self._coop_sealing
            or self._run(of_another, (sealing, public, person)).fetchone()
        ):
            raise RegisterError(_("This sealing key is somebody else's."))
        self._run(
            "INSERT INTO key VALUES (?, ?, ?, ?, ?, ?)",
            (public, person, sealing, custody, secret, now),
        )

    def keys_of(self, person: bytes) -> list[PersonKey]:
        rows = self._run(
            "SELECT public, person, sealing, custody, secret IS NOT NULL FROM key"
            " WHERE person = ? ORDER BY created, public",
            (person,),
        )
        return [
            PersonKey(public, owner, sealing, custody, bool(held))
            for public, owner, sealing, custody, held in rows
        ]

    def held_key(self, public: bytes) -> SigningKey:
        """Return a key that the node holds for somebody. Raises: RegisterError."""
        return SigningKey.from_seed(self.held_secrets(public)[:32])

    def held_secrets(self, public: bytes) -> bytes:
        """Return seed and sealing secret (64 bytes) of a held key. Raises: RegisterError."""
        row = self._run("SELECT secret FROM key WHERE public = ?", (public,)).fetchone()
        if row is None or row[0] is None:
            raise RegisterError(
                _("Your node does not hold this person's key."),
                hint=_("They sign on their own device, or you act under a mandate."),
            )
        sealed: bytes = row[0]
        return self.unseal(sealed, public)

    def drop_secret(self, public: bytes) -> bool:
        """Forget the secret of a key that was held, and keep that the key is the person's."""
        done = self._run(
            "UPDATE key SET secret = NULL WHERE public = ? AND secret IS NOT NULL", (public,)
        )
        return bool(done.rowcount)

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Seal something under the coop's sealing key; `context` must be given to open it."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made. Raises: RegisterError when it was sealed under another key."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except InvalidTag:
            raise RegisterError(
                _("The key in private.db cannot be opened with this coop's sealing key."),
                hint=_("Bring private.db and keys/sealing.key back from the same backup."),
            ) from None

    # --- what transfers were for ----------------------------------------------------------------

    def add_memo(self, ref: bytes, salt: bytes, text: str, now: int) -> None:
        """Keep what a transfer is for, under the hash that stands on the chain."""
        (count,) = self._run("SELECT count(*) FROM memo").fetchone()
        if count >= bounds.MEMOS_MAX:
            raise RegisterError(_("The register is full."))
        self._run("INSERT OR IGNORE INTO memo VALUES (?, ?, ?, ?)", (ref, salt, text, now))

    def memo(self, ref: bytes) -> str:
        """Return what a transfer was for, or an empty text when it is not known here."""
        row = self._run("SELECT text FROM memo WHERE ref = ?", (ref,)).fetchone()
        return "" if row is None else str(row[0])

    def forget_memos(self, refs: Sequence[bytes]) -> int:
        """Erase what transfers were for; return how many it were."""
        return sum(
            int(self._run("DELETE FROM memo WHERE ref = ?", (ref,)).rowcount) for ref in refs
        )

    def forget_memos_before(self, at: int) -> int:
        """Erase what transfers before a time were for."""
        return int(self._run("DELETE FROM memo WHERE created < ?", (at,)).rowcount)

    def forget_invitations_before(self, at: int) -> int:
        """Erase invitations that ended before a time."""
        return int(self._run("DELETE FROM invitation WHERE expires < ?", (at,)).rowcount)

    def forget_person(self, person: bytes) -> int:
        """Erase a person with all their keys; return how many rows it were."""
        gone = int(self._run("DELETE FROM key WHERE person = ?", (person,)).rowcount)
        return gone + int(self._run("DELETE FROM person WHERE id = ?", (person,)).rowcount)

    def scrub(self) -> None:
        """Rewrite the file and cut its log, so that nothing erased is left in either."""
        self._run("VACUUM")
        with faults_in_words(self._path):
            scrub_wal(self._db)

    def people(self) -> list[Person]:
        """Return everybody of the register, by id."""
        return [Person(*row) for row in self._run("SELECT * FROM person ORDER BY id")]

    def counts(self) -> dict[str, int]:
        """Return how many people, keys and held keys there are."""
        (people,) = self._run("SELECT count(*) FROM person").fetchone()
        keys, held = self._run("SELECT count(*), count(secret) FROM key").fetchone()
        return {"people": people, "keys": keys, "held": held}

    # --- invitations ----------------------------------------------------------------------------

    def add_invitation(self, token: bytes, expires: int, note: str, now: int) -> None:
        """Note an invitation by the hash of its token: the file does not tell the token."""
        self._run("DELETE FROM invitation WHERE expires < ?", (now - 90 * 86_400,))
        (count,) = self._run(
            "SELECT count(*) FROM invitation WHERE used_at IS NULL AND expires >= ?", (now,)
        ).fetchone()
        if count >= bounds.INVITATIONS_MAX:
            raise RegisterError(
                _("There are {n} open invitations already.").format(n=count),
                hint=_("Wait until some expire."),
            )
        self._run(
            "INSERT INTO invitation VALUES (?, ?, ?, NULL, NULL)", (_hash(token), expires, note)
        )

    def check_token(self, token: bytes, root: bytes, now: int) -> bool:
        """Tell whether a token opens the door for a coop now.

        A used token opens again for the same coop only, so that a broken join can be repeated.
        Every open invitation is compared in constant time: how long it takes says nothing.
        """
        wanted = _hash(token)
        good = False
        for known, expires, used_by in self._run(
            "SELECT token_hash, expires, used_by FROM invitation"
        ):
            same = hmac.compare_digest(known, wanted)
            good |= same and expires >= now and used_by in (None, root)
        return good

    def use_token(self, token: bytes, root: bytes, now: int) -> bool:
        """Mark an invitation as used by a coop; False when another used it meanwhile."""
        done = self._run(
            "UPDATE invitation SET used_at = ?, used_by = ?"
            " WHERE token_hash = ? AND (used_by IS NULL OR used_by = ?)",
            (now, root, _hash(token), root),
        )
        return bool(done.rowcount)


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(b"maillon/1/invitation\0" + token).digest()
