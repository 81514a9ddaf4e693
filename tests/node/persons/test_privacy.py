"""What a node holds about a person: given out whole, erased from every byte of every file."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from maillon.ledger.audit.report import FINE
from maillon.ledger.tool.auditing import audit_export
from maillon.node.api import ledger_shapes
from maillon.node.api import persons_shapes as shapes
from maillon.node.api.caller import Forbidden
from maillon.node.api.ledger_service import StatementOptions
from maillon.node.ledger.desk import Desk
from maillon.node.persons.errors import NotPossible
from maillon.node.persons.settings import Retention
from maillon.protocol.founding import FoundingFile
from maillon.protocol.records import DAY_S
from maillon.protocol.vouchers import voucher_from_text
from support.ledgernet import LedgerNet, agreed, until
from support.persons import OPERATOR, PersonsTestNode, persons_net, restart

Net = tuple[LedgerNet, list[PersonsTestNode]]
LETTERS = "bcdfghjklmnpqrtvwxz"


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Net]:
    async with persons_net(tmp_path) as made:
        yield made


def word(rng: random.Random) -> str:
    """Return a word that no text has by chance, and no stemmer shortens."""
    return "".join(rng.choices(LETTERS, k=16))


def all_bytes(folder: Path) -> bytes:
    """Return every byte of every file of a home."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def person_of(account: str) -> bytes:
    return bytes.fromhex(account.partition(":")[2])


class Life:
    """Somebody with a trace in every place that a node keeps."""

    def __init__(self, node: PersonsTestNode, rng: random.Random) -> None:
        self.node = node
        self.name, self.note, self.title = word(rng), word(rng), word(rng)
        self.text, self.memo, self.written = word(rng), word(rng), "2026-03-14"
        self.procedure = word(rng)
        self.account = ""

    @property
    def person(self) -> bytes:
        return person_of(self.account)

    async def live(self, friend: str) -> None:
        node = self.node
        self.account = await node.holder(self.name, limit=500)
        node.register._run(  # pyright: ignore[reportPrivateUsage]
            "UPDATE person SET note = ? WHERE id = ?", (self.note, self.person)
        )
        key = node.persons.writer.held_signer(self.person)
        assert key is not None
        made = node.persons.writer.draft(
            "offer",
            {
                "title": self.title,
                "text": self.text,
                "lang": "fr",
                "categories": ["jardin"],
                "mode": ["at_home"],
                "reciprocity": {"kind": "gift"},
            },
            key.public,
            node.author_of(self.account),
            until=node.time() + 30 * DAY_S,
        )
        node.author(made, key)
        node.store.index_now()
        paid = await node.pay(self.account, friend, 30, memo=self.memo)
        assert paid.status == "certified"
        book = await node.persons.issue_book(
            OPERATOR, shapes.BookRequest(account=self.account, unit="heure", count=2)
        )
        self.secrets = [voucher_from_text(v.qr).secret for v in book.vouchers]
        await node.persons.deposit(
            OPERATOR,
            shapes.DepositRequest(
                amount=10, payee=friend, voucher=book.vouchers[0].qr, unit="heure",
                date=self.written, wait_s=60,
            ),
        )  # fmt: skip
        self.code = node.persons.claim_code(
            OPERATOR, self.person.hex(), shapes.ClaimCodeRequest()
        ).code
        node.persons.recover(
            OPERATOR,
            self.person.hex(),
            shapes.RecoveryRequest(old_key=key.public.hex(), procedure=self.procedure),
        )

    def traces(self) -> dict[str, bytes]:
        """Return what must not be found anywhere afterwards, by what it is."""
        keys = self.node.register.keys_of(self.person)
        sealed = [
            row[0]
            for row in self.node.register._run(  # pyright: ignore[reportPrivateUsage]
                "SELECT secret FROM key WHERE person = ? AND secret IS NOT NULL", (self.person,)
            ).fetchall()
        ]
        found = {
            "name": self.name.encode(),
            "note": self.note.encode(),
            "title": self.title[4:].encode(),
            "text": self.text[4:].encode(),
            "memo": self.memo.encode(),
            "procedure": self.procedure.encode(),
            "sealed secret": sealed[0],
        }
        for n, row in enumerate(keys):
            found[f"secret of key {n}"] = (
                self.node.register.held_secrets(row.public) if row.held else sealed[0]
            )
        return found


async def settle(node: PersonsTestNode, life: Life, friend: str) -> None:
    """Bring an account to nothing, as its owner would."""
    await node.pay(friend, life.account, 40)
    assert node.balance(life.account) == 0


def missing(data: bytes, traces: dict[str, bytes]) -> list[str]:
    return [name for name, trace in traces.items() if trace not in data]


def left(data: bytes, traces: dict[str, bytes]) -> list[str]:
    return [name for name, trace in traces.items() if trace in data]


async def test_no_byte_of_an_erased_person_is_left_in_any_file(
    net: Net, tmp_path: Path, autojump_clock: object
) -> None:
    seed = random.Random().randrange(1 << 32)
    print("seed", seed)
    _, (a, b, _c) = net
    friend = await a.holder("Friend")
    life = Life(a, random.Random(seed))
    await life.live(friend)
    other = Life(a, random.Random(seed + 1))
    await other.live(friend)
    await settle(a, life, friend)
    await agreed([a, b])
    traces = life.traces()
    # What is looked for can be found: all of it is there, in clear or sealed, but raw secrets.
    absent = missing(all_bytes(a.home), traces)
    assert set(absent) <= {name for name in traces if name.startswith(("secret", "title", "text"))}
    index = [line.ref for line in a.persons.accounts.lines(life.person, limit=100)]
    account_rows = [
        key for key, _ in a.disk.scan("line", a.coop + life.person)
    ]
    assert len(index) >= 3 and account_rows
    told = await a.persons.erase_person(
        OPERATOR, life.person.hex(), shapes.EraseRequest(confirm=life.person.hex(), wait_s=60)
    )
    assert told.done and told.left and told.erased["register"] >= 2
    data = all_bytes(a.home)
    assert left(data, traces) == []
    # Their random number stands in headers until those expire, and in the last vote until the next.
    found = {path.name for path in a.home.iterdir() if life.person in path.read_bytes()}
    assert found <= {"node.db", "votes.db"}
    assert all(not path.stat().st_size for path in a.home.glob("*-wal"))
    # Nobody else lost anything.
    assert missing(data, {"name": other.name.encode(), "memo": other.memo.encode()}) == []
    assert a.balance(friend) == 40 and a.balance(other.account) == -40
    assert a.persons.person(OPERATOR, other.person.hex()).name == other.name
    # Records are gone here and wherever they were.
    assert all(
        valid.signed.payload is None or valid.signed.payload.get("title") != life.title
        for node in (a, b)
        for valid in node.store.by_kinds(("offer",))
    )


async def test_ledger_and_audit_stay_valid_after_an_erasure(
    net: Net, tmp_path: Path, autojump_clock: object
) -> None:
    world, (a, b, c) = net
    friend = await a.holder("Friend")
    life = Life(a, random.Random(7))
    await life.live(friend)
    await settle(a, life, friend)
    await a.persons.erase_person(
        OPERATOR, life.person.hex(), shapes.EraseRequest(confirm=life.person.hex(), wait_s=60)
    )
    # Life goes on, after a restart as well; everybody agrees.
    a.stop()
    await restart(world, a)
    pat = await a.holder("Pat")
    assert (await a.pay(friend, pat, 15)).status == "certified"
    await agreed([a, b, c])
    statement = a.desk.statement(friend, StatementOptions())
    assert [(line.amount, line.direction) for line in statement.lines][-1] == (-15, "out")
    folder = tmp_path / "export"
    file = FoundingFile.unsigned(a.founding)
    for coop in world.federation.coops:
        file = file.sign(coop.root)
    desk = Desk(a, a.runner, file.encode)
    await desk.export(ledger_shapes.ExportRequest(directory=str(folder)))
    report = audit_export(folder, jobs=1)
    assert report.verdict == FINE, report
    assert report.counts()["erased"] >= 4


async def test_an_account_that_is_not_at_rest_is_not_erased(
    net: Net, autojump_clock: object
) -> None:
    _, (a, *_rest) = net
    friend = await a.holder("Friend")
    life = Life(a, random.Random(3))
    await life.live(friend)
    before = a.heads()
    request = shapes.EraseRequest(confirm=life.person.hex(), wait_s=60)
    with pytest.raises(NotPossible):
        await a.persons.erase_person(OPERATOR, life.person.hex(), request)
    with pytest.raises(NotPossible):
        wrong = shapes.EraseRequest(confirm=person_of(friend).hex())
        await a.persons.erase_person(OPERATOR, life.person.hex(), wrong)
    with pytest.raises(Forbidden):
        await a.persons.erase_person(a.caller(life.account), life.person.hex(), request)
    assert a.heads() == before and a.register.name_of(life.person) == life.name
    request.settle_to_commons = True
    await a.desk.limit(
        "0" * 32, ledger_shapes.LimitRequest(limit=1_000, unit="heure", wait_s=60)
    )
    assert (await a.persons.erase_person(OPERATOR, life.person.hex(), request)).done
    assert a.balance(f"{a.coop.hex()}:{'0' * 32}") == -40
    assert a.register.person(life.person) is None


@pytest.mark.parametrize("after", ["noted", "records", "ledger"])
async def test_an_erasure_that_broke_off_is_finished_at_the_next_start(
    net: Net, after: str, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    friend = await a.holder("Friend")
    life = Life(a, random.Random(11))
    await life.live(friend)
    await settle(a, life, friend)
    traces, privacy = life.traces(), a.persons.privacy
    keys = [row.public for row in a.register.keys_of(life.person)]
    await a.persons.accounts.close(life.person, 60)
    a.persons.disk.run("INSERT INTO erasure VALUES (?, ?)", life.person, a.time())
    if after != "noted":
        privacy._withdraw(life.person, keys)  # pyright: ignore[reportPrivateUsage]
    if after == "ledger":
        await privacy._erase_account(life.person)  # pyright: ignore[reportPrivateUsage]
    a.stop()
    await restart(world, a)
    await until(lambda: a.register.person(life.person) is None, "it is finished")
    assert left(all_bytes(a.home), traces) == []


async def test_an_export_has_everything_and_no_secret(net: Net, autojump_clock: object) -> None:
    _, (a, *_rest) = net
    friend = await a.holder("Friend")
    life = Life(a, random.Random(5))
    await life.live(friend)
    traces = life.traces()
    data = await a.persons.export_person(a.caller(life.account), life.person.hex())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert {
        "README.txt", "person.json", "records.json", "account.json", "affairs.json",
    } <= set(files)  # fmt: skip
    readme = files["README.txt"].decode()
    assert [name for name in files if name.endswith(".json") and f"\n{name}: " not in readme] == []
    person = json.loads(files["person.json"])
    assert (person["name"], person["note"]) == (life.name, life.note)
    said = json.loads(files["records.json"])
    assert {record["kind"] for record in said} == {"membership", "offer", "vouching"}
    assert any(record["payload"].get("title") == life.title for record in said)
    assert sum(name.startswith("records/") for name in files) == len(said)
    lines = json.loads(files["account.json"])["lines"]
    assert [line["amount"] for line in lines] == [-30, -10] or len(lines) == 2
    assert lines[0]["memo"] == life.memo
    affairs = json.loads(files["affairs.json"])
    assert len(affairs["voucher"]) == 2 and affairs["recovery"][0]["procedure"] == life.procedure
    whole = b"".join(files.values())
    for n, secret in enumerate(life.secrets):
        assert secret not in whole and secret.hex().encode() not in whole, n
    for name, trace in traces.items():
        if "secret" in name:
            assert trace not in whole and trace.hex().encode() not in whole, name
    with pytest.raises(Forbidden):
        await a.persons.export_person(a.caller(friend), life.person.hex())


async def test_what_is_kept_long_enough_goes_and_what_is_not_stays(
    net: Net, autojump_clock: object
) -> None:
    world, (a, *_rest) = net
    friend = await a.holder("Friend")
    life = Life(a, random.Random(9))
    await life.live(friend)
    a.retention = Retention(memos=100, vouchers=50, claims=10, recoveries=0)
    memo = a.persons.accounts.lines(life.person, limit=10)[-1].ref
    assert a.register.memo(memo) == life.memo
    assert not any(a.persons.keeping.run().removed.values())
    world.skew += (14 + 11) * DAY_S
    assert a.persons.keeping.run().removed["claims"] == 1
    world.skew += 80 * DAY_S
    removed = a.persons.keeping.run().removed
    assert removed["memos"] >= 1 and a.register.memo(memo) == ""
    assert life.memo.encode() not in all_bytes(a.home)
    # A cheque stays until it has expired and the time after that is over: it cannot come back.
    assert removed["vouchers"] == 0
    world.skew += 365 * DAY_S
    assert a.persons.keeping.run().removed["vouchers"] == 2
    # 0 keeps for ever.
    assert a.persons.disk.count("SELECT count(*) FROM recovery") == 1
    shown = {rule.what: rule.days for rule in a.persons.retention(OPERATOR).rules}
    assert shown["recoveries"] == 0 and shown["exchanges"] == 1_095
