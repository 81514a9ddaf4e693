"""Keep records in SQLite: the store of a node (`ports.Store`).

What is put inside a batch is collected and written at its end by a few `executemany`; questions
asked meanwhile see it. The tables are explained in `schema`, the sealing of payloads in `sealing`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maillon.node import bounds
from maillon.node.i18n import _
from maillon.node.ports import StoredHead
from maillon.node.search.documents import INDEX_VERSION, SEARCHED_KINDS, tokens_of
from maillon.node.store.database import (
    StoreError,
    back_up,
    examine,
    faults_in_words,
    open_database,
    open_reader,
    scrub_wal,
    sqlite3,
    translated,
)
from maillon.node.store.keyindex import KeyIndex
from maillon.node.store.reading import Reading
from maillon.node.store.rows import (
    BY_BEGINNING,
    BY_KEYS,
    LIVE,
    SIGNATURE,
    STATES,
    Found,
    decode,
    header_of,
    id_key,
    id_of,
    series_key,
)
from maillon.node.store.schema import NODE_DB
from maillon.node.store.vault import Saved as VaultSaved
from maillon.node.store.vault import Vault
from maillon.node.store.wordindex import Saved as WordsSaved
from maillon.node.store.wordindex import WordIndex
from maillon.protocol.encoding import Value
from maillon.protocol.envelope import Header, Signed, Valid
from maillon.protocol.ids import RecordId

Indexer = Callable[[Header, Mapping[str, Value]], str]

class SqliteStore(Reading):
    """Implement `ports.Store` over a file. Use it from one thread.

    Raises: StoreError and its kinds, from every method, when the file fails; what a batch wrote so
    far is undone then.
    """

    def __init__(self, path: Path | str, *, index: Indexer = tokens_of) -> None:
        self.path = Path(path)
        self._index = index
        self._db = open_database(
            path, NODE_DB, synchronous="NORMAL", cache_kib=bounds.STORE_CACHE_KIB
        )
        self._depth = 0
        self._doomed = False
        self._saved: tuple[VaultSaved, tuple[int, int], WordsSaved] | None = None
        self._fresh: dict[bytes, tuple[int, Valid]] = {}
        self._heads: dict[tuple[bytes, bytes], StoredHead] = {}
        self._counts: dict[str, int] = {}
        self._absent: dict[bytes, None] = {}
        # Hashes of (key, author) noted already; the hash is keyed by this process.
        self._signers: set[int] = set()
        try:
            with faults_in_words(self.path):
                self._vault = Vault(self._db)
                self._keys = KeyIndex(self._db)
                self._words = WordIndex(self._db, self._tokens_at, INDEX_VERSION)
            if self._words.stale:
                with self.batch():
                    self._words.begin_again()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Index what waits, cut the log, close the file."""
        try:
            self.index_now()
            with faults_in_words(self.path):
                scrub_wal(self._db)
        finally:
            self._db.close()

    # --- Transactions -----------------------------------------------------------------------------

    @contextmanager
    def batch(self) -> Generator[None]:
        """Open one transaction; leaving it normally commits, an exception undoes all of it.

        Nests as one: an exception that leaves an inner batch undoes the whole, even when caught.
        """
        if self._depth:
            self._depth += 1
            try:
                yield
            except BaseException:
                self._doomed = True
                raise
            finally:
                self._depth -= 1
            return
        with faults_in_words(self.path):
            self._db.execute("BEGIN IMMEDIATE")
        self._depth = 1
        self._saved = (self._vault.save(), self._keys.save(), self._words.save())
        try:
            yield
            if self._doomed:
                raise StoreError(_("A transaction was left half done; all of it was undone."))
            self._flush()
            self._finish()
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.Error):
                raise translated(error, self.path) from error
            raise
        finally:
            self._depth = 0
            self._doomed = False
        if self._vault.erasures >= bounds.STORE_SCRUB_ERASURES:
            self._cut_log()

    def _roll_back(self) -> None:
        saved = self._saved
        assert saved is not None, "a batch saves before it writes"
        vault, keys, words = saved
        self._vault.restore(vault)
        self._keys.restore(keys)
        self._words.restore(words)
        self._fresh.clear()
        self._heads.clear()
        self._counts.clear()
        self._absent.clear()
        self._signers.clear()
        # A full disk may have made SQLite roll back by itself.
        if self._db.in_transaction:
            with faults_in_words(self.path):
                self._db.execute("ROLLBACK")

    def _flush(self) -> None:
        """Write the records put so far."""
        if not self._fresh:
            return
        records: list[tuple[Any, ...]] = []
        live: list[tuple[int, bytes, int]] = []
        keys: list[tuple[int, int]] = []
        links: list[tuple[int, int]] = []
        for id, (n, valid) in self._fresh.items():
            signed = valid.signed
            header = signed.header
            author = valid.author
            payload = signed.payload_bytes
            assert payload is not None
            records.append((
                n, header.at, header.until, header.kind, valid.role, author,
                signed.header_bytes + signed.signature,
                self._vault.seal(n, payload),
            ))  # fmt: skip
            live.append((header.at, id, n))
            keys.append((id_key(id), n))
            keys.append((series_key(author, header.series), n))
            if header.as_:
                links.append((id_key(header.as_), n))
            for ref in header.refs:
                links.append((id_key(ref), n))
            signer = (header.by, author)
            if hash(signer) not in self._signers:
                self._db.execute("INSERT OR IGNORE INTO signers VALUES (?, ?)", signer)
                if len(self._signers) >= bounds.STORE_SIGNERS_MAX:
                    self._signers.clear()
                self._signers.add(hash(signer))
        run = self._db.executemany
        self._vault.flush()
        run("INSERT INTO records VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?)", records)
        run("INSERT INTO live VALUES (?, ?, ?)", live)
        self._keys.add(keys)
        if links:
            run("INSERT OR IGNORE INTO links VALUES (?, ?)", links)
        self._fresh.clear()
        self._heads.clear()

    def _finish(self) -> None:
        self._words.finish()
        if self._counts:
            self._db.executemany(
                "INSERT INTO counts VALUES (?, ?) "
                "ON CONFLICT (kind) DO UPDATE SET live = live + excluded.live",
                list(self._counts.items()),
            )
            self._counts.clear()

    # --- Finding ----------------------------------------------------------------------------------

    def expect(self, ids: Sequence[bytes]) -> None:
        if len(ids) < 2:
            return
        if len(self._absent) + len(ids) > bounds.STORE_ABSENT_MAX:
            self._absent.clear()
        keys = {id_key(id): id for id in ids if id not in self._fresh}
        with faults_in_words(self.path):
            # In the order of the keys: neighbours then share the pages that were just read.
            found = self._db.execute(BY_KEYS, (json.dumps(sorted(keys)),)).fetchall()
        for (key,) in found:
            del keys[key]
        # Two ids with one key are asked for one by one, as is whatever has a key that is taken.
        self._absent.update(dict.fromkeys(keys.values()))

    def known(self, id: bytes) -> bool:
        if id in self._fresh:
            return True
        if id in self._absent:
            return False
        if self._find(id) is not None:
            return True
        if len(self._absent) >= bounds.STORE_ABSENT_MAX:
            self._absent.clear()
        self._absent[id] = None
        return False

    def live(self, id: bytes) -> bool:
        if id in self._fresh:
            return True
        if id in self._absent:
            return False
        found = self._find(id)
        return found is not None and found.state == LIVE

    def head(self, author: bytes, series: bytes) -> StoredHead | None:
        fresh = self._heads.get((author, series))
        if fresh is not None:
            return fresh
        for row in self._rows_at(series_key(author, series)):
            if row[1] == LIVE and row[5] == author:
                header = header_of(row[6])
                if header.series == series:
                    return StoredHead(
                        id_of(row[6]), header.rev, header.at, header.until, header.kind,
                    )  # fmt: skip
        return None

    def header(self, id: bytes) -> Header | None:
        fresh = self._fresh.get(id)
        if fresh is not None:
            return fresh[1].signed.header
        found = self._find(id)
        return None if found is None else header_of(found.head)

    def beginning(self, first: bytes, limit: int) -> list[bytes]:
        """Return at most `limit` ids, live or not, that begin with `first` (4 to 32 bytes)."""
        low = id_key(first.ljust(8, b"\x00"))
        high = id_key(first.ljust(8, b"\xff"))
        with self._reading() as db:
            rows = db.execute(BY_BEGINNING, {"low": low, "high": high, "limit": limit}).fetchall()
        ids = (id_of(head) for (head,) in rows)
        return [id for id in ids if id.startswith(first)]

    def get(self, id: bytes) -> Signed | None:
        fresh = self._fresh.get(id)
        if fresh is not None:
            return fresh[1].signed
        with faults_in_words(self.path):
            found = self._find(id)
            if found is None:
                return None
            sealed = self._db.execute(
                "SELECT payload FROM records WHERE n = ?", (found.n,)
            ).fetchone()[0]
            payload = self._vault.open(found.n, sealed)
        if payload is None:
            return Signed(
                header_of(found.head), found.head[:-SIGNATURE], RecordId(id),
                found.head[-SIGNATURE:], None, None,
            )  # fmt: skip
        return decode(found.head, payload, self.path)

    # --- Changing ---------------------------------------------------------------------------------

    def put(self, valid: Valid) -> None:
        signed = valid.signed
        id = signed.id
        header = signed.header
        assert signed.payload_bytes is not None and signed.payload is not None
        assert id not in self._fresh, "a live record is put once"
        if not self._depth:
            with self.batch():
                self.put(valid)
            return
        if self._absent.pop(id, False) is False:
            with faults_in_words(self.path):
                found = self._find(id)
                if found is not None:
                    assert found.state != LIVE, "a live record is put once"
                    self._delete([found])
        n = self._vault.new_row()
        self._fresh[id] = (n, valid)
        self._heads[(valid.author, header.series)] = StoredHead(
            id, header.rev, header.at, header.until, header.kind
        )
        self._counts[header.kind] = self._counts.get(header.kind, 0) + 1
        if header.kind in SEARCHED_KINDS:
            self._words.add(n, self._index(header, signed.payload))

    def retire(self, id: bytes, *, reason: str) -> None:
        if not self._depth:
            with self.batch():
                self.retire(id, reason=reason)
            return
        state = STATES[reason]
        with faults_in_words(self.path):
            self._flush()
            found = self._find(id)
            assert found is not None and found.state == LIVE, "only a live record is retired"
            self._leave_live(found, id)
            self._vault.destroy([found.n])
            self._db.execute(
                "UPDATE records SET state = ?, payload = NULL WHERE n = ?", (state, found.n)
            )

    def _leave_live(self, found: Found, id: bytes) -> None:
        header = header_of(found.head)
        self._db.execute("DELETE FROM live WHERE at = ? AND id = ?", (found.at, id))
        self._keys.remove([(series_key(found.author, header.series), found.n)])
        for name in (header.as_, *header.refs):
            if name:
                self._db.execute(
                    "DELETE FROM links WHERE k = ? AND n = ?", (id_key(name), found.n)
                )
        if found.kind in SEARCHED_KINDS:
            self._words.remove(found.n)
        self._counts[found.kind] = self._counts.get(found.kind, 0) - 1

    def _delete(self, rows: Sequence[Found]) -> list[tuple[int, bytes]]:
        """Delete rows altogether; return the (at, id) of those that were live."""
        gone: list[tuple[int, bytes]] = []
        for found in rows:
            id = id_of(found.head)
            if found.state == LIVE:
                self._leave_live(found, id)
                gone.append((found.at, id))
            self._keys.remove([(id_key(id), found.n)])
        live = [found.n for found in rows if found.state == LIVE]
        self._vault.destroy(live)
        self._db.executemany("DELETE FROM records WHERE n = ?", [(found.n,) for found in rows])
        return gone

    def forget_expired(self, now: int, limit: int) -> list[tuple[int, bytes]]:
        if not self._depth:
            with self.batch():
                return self.forget_expired(now, limit)
        with self._reading() as db:
            rows = db.execute(
                "SELECT n, state, at, until, kind, author, head FROM records "
                "WHERE until < ? ORDER BY until LIMIT ?",
                (now, limit),
            ).fetchall()
            return self._delete([Found(*row) for row in rows])

    # --- Care -------------------------------------------------------------------------------------

    def _tokens_at(self, n: int) -> str:
        row = self._db.execute(
            "SELECT state, head, payload FROM records WHERE n = ?", (n,)
        ).fetchone()
        if row is None or row[0] != LIVE:
            return ""
        payload = self._vault.open(n, row[2])
        assert payload is not None, "a live record has its payload"
        signed = decode(row[1], payload, self.path)
        assert signed.payload is not None
        return self._index(signed.header, signed.payload)

    @property
    def unindexed(self) -> int:
        """Return how many live records search does not find yet."""
        return self._words.waiting

    def index_now(self) -> None:
        """Let search find everything put so far; call before a search that follows a write.

        Takes some milliseconds. Rows that await a new reading of words are taken along in slices.
        """
        if self._words.waiting:
            with self.batch():
                self._flush()
                self._words.write()
                self._words.write_queued(bounds.STORE_INDEX_BATCH)

    def maintain(self, now: int) -> bool:
        """Do a slice of what can wait; say whether more waits. Call it every few seconds.

        Indexes, purges the words of what was erased (within STORE_PURGE_S), and cuts the log when
        something was erased since the last time.
        """
        self.index_now()
        more = self._words.waiting > 0
        if self._words.words_to_purge:
            with self.batch():
                if self._words.due(now):
                    more = self._words.purge(bounds.STORE_PURGE_PAGES) or more
                    self._vault.erasures += 1
        if self._vault.erasures:
            self._cut_log()
        return more

    def scrub(self) -> bool:
        """Remove every trace of what was erased, now: words and log. Say whether all is gone.

        Costs a rewrite of the word index: seconds for a million records. False when a search in the
        middle of reading kept the log; call again.
        """
        self.index_now()
        while self._words.words_to_purge:
            with self.batch():
                self._words.purge(16 * bounds.STORE_PURGE_PAGES)
            self._vault.erasures += 1
        self._cut_log(wait=True)
        return self._vault.erasures == 0

    def _cut_log(self, *, wait: bool = False) -> None:
        with faults_in_words(self.path):
            if not wait:
                self._db.execute("PRAGMA busy_timeout = 0")
            try:
                if scrub_wal(self._db):
                    self._vault.erasures = 0
            finally:
                if not wait:
                    self._db.execute(
                        f"PRAGMA busy_timeout = {int(bounds.STORE_BUSY_S_MAX * 1000)}"
                    )

    def backup(self, target: Path | str) -> None:
        """Write a consistent copy; may be called from another thread than the store's.

        What is erased later stays in the copy: keep copies no longer than people were told.
        Raises: StoreError.
        """
        reader = open_reader(self.path, cache_kib=bounds.SEARCH_CACHE_KIB)
        try:
            back_up(reader, self.path, target)
        finally:
            reader.close()

    def check(self) -> list[str]:
        """Return what a thorough look finds wrong; empty when all is well. Reads the whole file."""
        return examine(self._db, self.path)
