"""What opens sealed bids and lots: kept sealed and durably, given to its owner, erased in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from maillon.node.api import matching_shapes as shapes
from maillon.node.api.caller import Caller, Forbidden
from maillon.node.home import Home
from maillon.node.matching import bounds
from maillon.node.matching.openings import OLD_FILE, NoOpening, TooManyOpenings
from maillon.node.matching.storage import MatchingDisk
from maillon.node.run.backup import write_backup
from maillon.protocol.auctions import commitment, lot
from maillon.protocol.errors import LocalError
from maillon.protocol.view import coop_author
from support import community
from support.matchnet import THE_OPERATOR, MatchNet, MatchNode, caller_of
from support.world import Member

NONCE = bytes(range(100, 132))
SECRET = bytes(range(7, 39))


@pytest.fixture
def net(tmp_path: Path) -> Iterator[MatchNet]:
    made = MatchNet(tmp_path)
    yield made
    made.close()


def request(demand: bytes, amount: int = 50, **more: Any) -> shapes.OpeningRequest:
    values: dict[str, Any] = {
        "kind": "bid",
        "hash": commitment(demand, amount, NONCE).hex(),
        "nonce": NONCE.hex(),
        "until": 1_900_000_000,
        "demand": demand.hex(),
        "amount": amount,
        **more,
    }
    return shapes.OpeningRequest(**values)


def publisher(member: Member) -> Caller:
    return caller_of(member, scopes=("read", "publish"))


def openings(node: MatchNode, member: Member) -> list[shapes.Opening]:
    return node.desk.openings("", (), publisher(member)).openings


def files_of(node: MatchNode) -> bytes:
    found = (path for path in sorted(node.folder.rglob("*")) if path.is_file())
    return b"".join(path.read_bytes() for path in found)


def test_a_bid_is_kept_sealed_and_given_to_whoever_made_it_also_after_a_new_start(
    net: MatchNet,
) -> None:
    ana, bo = net.member(0, "ana"), net.member(0, "bo")
    node, demand = net.nodes[0], bytes(32)
    made = node.desk.keep_opening(request(demand), publisher(ana))
    assert (made.nonce, made.amount, made.author) == (NONCE.hex(), 50, ana.author.hex())
    again = node.desk.keep_opening(request(demand), publisher(ana))
    assert again == made and node.desk.disk.count_openings() == 1
    node.restart()
    assert openings(node, ana) == [made]
    assert openings(node, bo) == []
    assert node.desk.openings("", (made.hash,), publisher(bo)).openings == []
    assert node.desk.openings("", (made.hash,), THE_OPERATOR).openings == [made]
    data = files_of(node)
    assert NONCE not in data and NONCE.hex().encode() not in data


def test_what_does_not_open_its_hash_is_not_kept(net: MatchNet) -> None:
    ana, node = net.member(0, "ana"), net.nodes[0]
    right = request(bytes(32))
    for wrong in (
        request(bytes(32), amount=51, hash=right.hash),
        request(b"x" * 32, hash=right.hash),
        request(bytes(32), nonce=SECRET.hex(), hash=right.hash),
        msgspec.structs.replace(right, demand=None),
        msgspec.structs.replace(right, kind="lot"),
    ):
        with pytest.raises(NoOpening):
            node.desk.keep_opening(wrong, publisher(ana))
    assert node.desk.disk.count_openings() == 0


def test_nobody_keeps_or_forgets_for_another(net: MatchNet) -> None:
    ana, bo = net.member(0, "ana"), net.member(0, "bo")
    node = net.nodes[0]
    made = node.desk.keep_opening(request(bytes(32)), publisher(ana))
    with pytest.raises(Forbidden):
        node.desk.keep_opening(request(b"x" * 32, person=ana.person.hex()), publisher(bo))
    with pytest.raises(Forbidden):
        node.desk.forget_opening(made.hash, publisher(bo))
    assert openings(node, ana) == [made]
    assert node.desk.forget_opening(made.hash, publisher(ana)).forgotten == 1
    assert node.desk.forget_opening(made.hash, publisher(ana)).forgotten == 0
    assert node.desk.forget_opening("no hash", publisher(ana)).forgotten == 0


def test_one_person_fills_no_more_than_their_own_room(
    net: MatchNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bo = net.member(0, "ana"), net.member(0, "bo")
    node = net.nodes[0]
    monkeypatch.setattr(bounds, "OPENINGS_PER_PERSON_MAX", 2)
    for amount in (1, 2):
        node.desk.keep_opening(request(bytes(32), amount), publisher(ana))
    with pytest.raises(TooManyOpenings):
        node.desk.keep_opening(request(bytes(32), 3), publisher(ana))
    node.desk.keep_opening(request(bytes(32), 4), publisher(bo))
    assert node.desk.disk.count_openings() == 3


def test_the_file_of_an_older_version_is_taken_in_whole_and_removed(net: MatchNet) -> None:
    ana, bo, node = net.member(0, "ana"), net.member(0, "bo"), net.nodes[0]
    demand = community.auction(net.world, ana, sealed=True)
    bid = community.sealed_bid(net.world, bo, demand, ana, 45, NONCE)
    net.spread(demand, bid)
    thing = next(v.thing for v in node.store.by_kinds(("demand",)))
    gone = b"g" * 32
    old = {
        thing.hex(): {"secret": SECRET.hex()},
        bid.id.hex(): {"nonce": NONCE.hex(), "amount": 45, "demand": thing.hex(), "by": "bo"},
        ("ee" * 32): {"nonce": SECRET.hex(), "amount": 7, "demand": gone.hex(), "by": ""},
    }
    path = node.folder / OLD_FILE
    path.write_text(json.dumps(old))
    assert node.desk.opening.take_over(node.folder) == 3
    assert not path.exists()
    (secret,) = openings(node, ana)
    assert (secret.kind, secret.hash, secret.nonce) == ("lot", lot(SECRET).hex(), SECRET.hex())
    (sealed,) = openings(node, bo)
    assert sealed.hash == commitment(thing, 45, NONCE).hex()
    assert (sealed.nonce, sealed.amount, sealed.until) == (NONCE.hex(), 45, secret.until)
    # Whose it was is not known any more: it is the coop's, for the desk to use.
    (lost,) = node.desk.openings("coop", (), THE_OPERATOR).openings
    assert lost.author == coop_author(node.coop).hex() and lost.amount == 7
    # A power cut before the file was removed: it comes once more, and changes nothing.
    path.write_text(json.dumps(old))
    assert node.desk.opening.take_over(node.folder) == 0
    assert node.desk.disk.count_openings() == 3 and not path.exists()
    assert node.desk.opening.take_over(node.folder) == 0


@pytest.mark.parametrize("text", ["{", "[]", '{"zz": {"secret": "00"}}', '{"00": {}}'])
def test_a_damaged_file_of_an_older_version_is_left_where_it_is(net: MatchNet, text: str) -> None:
    node = net.nodes[0]
    path = node.folder / OLD_FILE
    path.write_text(text)
    with pytest.raises(LocalError):
        node.desk.opening.take_over(node.folder)
    assert path.read_text() == text and node.desk.disk.count_openings() == 0


def test_a_backup_holds_what_opens_a_bid_and_so_does_the_node_made_of_it(
    net: MatchNet, tmp_path: Path
) -> None:
    ana, node = net.member(0, "ana"), net.nodes[0]
    made = node.desk.keep_opening(request(bytes(32)), publisher(ana))
    copy = tmp_path / "copy"
    done = write_backup(Home(node.folder), copy, records=False)
    assert "matching.db" in done["files"]
    assert (copy / "matching.db").stat().st_mode & 0o077 == 0
    # The node's file is lost; the copy takes its place.
    node.desk.close()
    for path in node.folder.glob("matching.db*"):
        path.unlink()
    (node.folder / "matching.db").write_bytes((copy / "matching.db").read_bytes())
    node.desk = type(node.desk)(node)
    assert openings(node, ana) == [made]


def test_a_backup_of_a_node_that_was_not_started_since_holds_the_older_file(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "home")
    home.keys.mkdir(parents=True)
    (home.path / OLD_FILE).write_text("{}")
    done = write_backup(home, tmp_path / "copy", records=False)
    assert OLD_FILE in done["files"]
    assert (tmp_path / "copy" / OLD_FILE).stat().st_mode & 0o077 == 0


def test_an_erased_person_leaves_no_byte_of_their_bids(net: MatchNet) -> None:
    ana, bo = net.member(0, "ana"), net.member(0, "bo")
    node = net.nodes[0]
    for who, demand in ((ana, b"a" * 32), (bo, b"b" * 32)):
        node.desk.keep_opening(request(demand), publisher(who))
    row = node.desk.disk.openings(ana.author, 1)[0]
    assert row.sealed in files_of(node) and row.hash in files_of(node)
    assert node.desk.kept_of(ana.author)["sealed_bids"][0]["nonce"] == NONCE.hex()
    assert node.desk.disk.forget_author(ana.author) == 1
    node.desk.disk.scrub()
    data = (node.folder / "matching.db").read_bytes()
    data += (node.folder / "matching.db-wal").read_bytes()
    assert row.sealed not in data and row.hash not in data
    assert len(openings(node, bo)) == 1 and openings(node, ana) == []


def test_what_was_due_long_ago_goes_and_what_is_not_due_stays(tmp_path: Path) -> None:
    from maillon.node.matching.storage import OpeningRow

    disk = MatchingDisk(tmp_path)
    for place, until in enumerate((100, 200, 300)):
        disk.add_opening(OpeningRow(bytes([place]) * 32, b"p" * 49, "bid", b"s", 1, until))
    assert disk.forget_openings_before(200) == 1
    assert [row.until for row in disk.openings(b"p" * 49, 10)] == [200, 300]
    disk.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    from maillon.node.matching import storage
    from maillon.node.store.database import Schema, open_database

    first = Schema(storage.MATCHING_DB.name, storage.APPLICATION_ID, storage.MATCHING_DB.steps[:1])
    old: Any = open_database(tmp_path / storage.FILE, first, synchronous="FULL", cache_kib=64)
    old.execute("INSERT INTO fact VALUES ('place', 7)")
    old.close()
    disk = MatchingDisk(tmp_path)
    assert disk.fact("place") == 7 and disk.count_openings() == 0
    disk.close()
