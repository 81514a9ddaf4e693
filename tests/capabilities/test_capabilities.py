"""What real local services need, each shown over two nodes: published at one, seen at the other.

The identifiers are those of docs/capabilities.md, which says what each asks and how far it is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.search.query import Answer, Query
from maillon.node.search.reader import SearchReader
from maillon.node.search.vocabulary import SHIPPED, Vocabulary, load_synonyms
from maillon.node.store.sqlite import SqliteStore
from maillon.protocol.envelope import Signed
from maillon.protocol.errors import LocalError, RefInvalid, RefMissing
from maillon.protocol.records import KINDS
from maillon.protocol.validation import check_context, mark_checked
from maillon.protocol.view import TransferInfo
from support.engines import Rig, Wire, connect, founded
from support.model_view import ModelView, live_set
from support.world import NOW, Member

DIE = (44.7540, 5.3700)
CREST = (44.7283, 5.0217)
TUESDAY = NOW - NOW % 86_400
SOURCE = {"name": "Liste", "id": "1", "date": "2024-08-01", "licence": "Licence Ouverte 2.0"}


def public(place: tuple[float, float], city: str) -> dict[str, Any]:
    return {
        "lat": round(place[0] * 1e6),
        "lon": round(place[1] * 1e6),
        "public": True,
        "city": city,
    }


def fields_of(kind: str) -> set[str]:
    return {field.name for field in KINDS[kind].schema.fields}


class TwoNodes:
    """One coop's node, where people publish, and another's, whose residents search."""

    def __init__(self, folder: Path) -> None:
        self.world = founded(3, seed="capabilities")
        self.here = Rig(self.world, 0)
        self.folder = folder
        self.store = SqliteStore(folder / "node.db")
        self.there = Rig(self.world, 1, store=self.store)  # type: ignore[arg-type]  # a Store too
        self.reader = SearchReader(folder / "node.db", Vocabulary(load_synonyms(SHIPPED)))
        profiles = self.world.profiles()
        for rig in (self.here, self.there):
            rig.submit(*profiles)
        connect(self.here, self.there)
        self.member = self.enrol("member")

    def enrol(self, name: str, **fields: Any) -> Member:
        member = self.world.make_member(0, name)
        self.here.submit(self.world.membership(member, **fields))
        return member

    def publish(self, *records: Signed) -> None:
        """Publish here and let the other node catch up."""
        self.here.submit(*records)
        Wire(*sorted((self.here, self.there), key=lambda rig: rig.key)).run()
        for signed in records:
            assert self.there.live(signed)

    def ask(self, text: str = "", **conditions: Any) -> Answer:
        self.store.index_now()
        return self.reader.search(Query(text=text, **conditions), NOW)

    def titles(self, text: str = "", **conditions: Any) -> list[str]:
        return [hit.payload["title"] for hit in self.ask(text, **conditions).hits]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[TwoNodes]:
    made = TwoNodes(tmp_path)
    yield made
    made.reader.close()
    made.store.close()


@pytest.mark.capability("SOSS-5")
def test_a_resident_finds_who_is_near_with_category_and_hours_and_no_account(
    nodes: TwoNodes,
) -> None:
    hours = {"hours": {"tu": [[540, 720]]}, "tz": "Europe/Paris"}
    nodes.publish(
        nodes.world.offer(
            nodes.member, "Plomberie", place=public(DIE, "Die"), when=hours, mode=["on_site"],
            categories=["habitat"],
        ),
        nodes.world.offer(
            nodes.member, "Peinture", place=public(CREST, "Crest"), mode=["on_site"],
            categories=["habitat"],
        ),
    )  # fmt: skip
    answer = nodes.ask(
        near=DIE, radius_km=10, categories=("habitat",), when=(TUESDAY, TUESDAY + 86_400)
    )
    assert [hit.payload["title"] for hit in answer.hits] == ["Plomberie"]
    assert answer.hits[0].payload["when"] == hours
    assert any("Tuesday" in reason for reason in answer.hits[0].reasons)


@pytest.mark.capability("SOSS-9")
def test_an_online_service_needs_no_place_and_is_found_from_anywhere(nodes: TwoNodes) -> None:
    lesson = nodes.world.offer(nodes.member, "Cours d'anglais", mode=["remote"], place=None)
    nodes.publish(lesson)
    assert lesson.payload is not None and "place" not in lesson.payload
    assert nodes.titles(near=CREST, radius_km=1) == ["Cours d'anglais"]
    assert nodes.titles(modes=("remote",)) == ["Cours d'anglais"]


@pytest.mark.capability("SOSS-12")
def test_an_offer_of_several_sectors_is_found_in_each_and_search_forces_none(
    nodes: TwoNodes,
) -> None:
    nodes.publish(
        nodes.world.offer(
            nodes.member, "Ménage et conversation",
            categories=["habitat", "lien-social", "numerique"],
        )
    )  # fmt: skip
    for category in ("habitat", "lien-social", "numerique"):
        assert nodes.titles(categories=(category,)) == ["Ménage et conversation"]
    assert nodes.titles("conversation") == ["Ménage et conversation"]


@pytest.mark.capability("ASA-1")
def test_one_member_registers_offers_and_demands_alike(nodes: TwoNodes) -> None:
    nodes.publish(
        nodes.world.offer(nodes.member, "Couture"),
        nodes.world.demand(nodes.member, "Jardinage"),
    )
    assert nodes.titles(kinds=("offer",)) == ["Couture"]
    assert nodes.titles(kinds=("demand",)) == ["Jardinage"]


@pytest.mark.capability("ASA-3")
def test_the_rank_follows_words_distance_time_and_language_and_says_why(nodes: TwoNodes) -> None:
    hours = {"hours": {"tu": [[540, 720]]}, "tz": "Europe/Paris"}
    nodes.publish(
        nodes.world.offer(
            nodes.member, "Vélo", place=public(CREST, "Crest"), mode=["on_site"], lang="en"
        ),
        nodes.world.offer(
            nodes.member, "Vélo", place=public(DIE, "Die"), mode=["on_site"], when=hours
        ),
    )
    answer = nodes.ask(
        "vélo", near=DIE, near_name="Die", languages=("fr",), when=(TUESDAY, TUESDAY + 86_400)
    )
    first, second = answer.hits
    assert first.payload["place"]["city"] == "Die"
    for part in ("words", "near", "time", "language"):
        assert first.parts.get(part, 0.0) >= second.parts.get(part, 0.0), part
    for hit in answer.hits:
        assert hit.score == pytest.approx(sum(hit.parts.values()), abs=1e-3)
        assert all(isinstance(reason, str) and reason for reason in hit.reasons)
    assert len(first.reasons) >= 3


@pytest.mark.capability("ASA-7")
def test_a_home_is_never_more_exact_than_a_cell(nodes: TwoNodes) -> None:
    with pytest.raises(LocalError):
        nodes.world.offer(nodes.member, "Chez moi", place={"lat": 44754000, "lon": 5370000})
    nodes.publish(nodes.world.offer(nodes.member, "Couture"))
    (hit,) = nodes.ask(near=DIE, radius_km=50).hits
    assert hit.approximate
    assert set(hit.payload["place"]) == {"cell", "city", "insee"}


@pytest.mark.capability("CAH-22")
def test_marks_are_signed_by_a_party_answerable_and_never_one_global_score(
    nodes: TwoNodes,
) -> None:
    world, payer = nodes.world, nodes.member
    payee, stranger = nodes.enrol("payee"), nodes.enrol("stranger")
    transfer = bytes(32)
    known = {transfer: TransferInfo(payer.author, payee.author)}
    mark = world.attestation(payer, transfer, payee.author)
    base = [*world.profiles(), *(world.membership(m) for m in (payer, payee, stranger))]

    def judge(signed: Signed, *, transfers: dict[bytes, TransferInfo], with_: list[Signed]) -> None:
        view = ModelView(world.founding, transfers)
        for valid in live_set(with_, world.founding, NOW, transfers).values():
            view.add(valid)
        check_context(mark_checked(signed), view, NOW)

    judge(mark, transfers=known, with_=base)
    with pytest.raises(RefMissing):
        judge(mark, transfers={}, with_=base)
    with pytest.raises(RefInvalid):
        judge(
            world.attestation(stranger, transfer, payee.author), transfers=known, with_=base
        )
    judge(world.reply(payee, mark.id), transfers=known, with_=[*base, mark])
    with pytest.raises(RefInvalid):
        judge(world.reply(stranger, mark.id), transfers=known, with_=[*base, mark])
    # No record kind carries a score of a person: there is nothing global to publish.
    assert not {name for kind in KINDS for name in fields_of(kind) if "score" in name}


@pytest.mark.capability("CAH-36")
def test_approved_and_self_declared_are_told_apart_with_who_verified(nodes: TwoNodes) -> None:
    verifier = nodes.world.coops[0].id
    nodes.publish(
        nodes.world.offer(
            nodes.member, "Agréé", provider_status="association",
            verified={"by": verifier, "kind": "approved"},
        ),
        nodes.world.offer(
            nodes.member, "Déclaré", provider_status="self_employed",
            verified={"by": verifier, "kind": "self_declared"},
        ),
        nodes.world.offer(nodes.member, "Sans rien"),
    )  # fmt: skip
    assert nodes.titles(verified="approved") == ["Agréé"]
    assert nodes.titles(verified="self_declared") == ["Déclaré"]
    assert nodes.titles(verified="none", kinds=("offer",)) == ["Sans rien"]
    (hit,) = nodes.ask(verified="approved").hits
    assert hit.payload["verified"]["by"] == verifier


@pytest.mark.capability("CAH-46")
def test_conditions_of_access_are_stated_searched_and_shown(nodes: TwoNodes) -> None:
    access = {
        "disability": True, "cost": "gratuit", "language": "fr, LSF", "digital": "sans internet",
        "eligibility": "tous publics", "distance": "ligne 28, arrêt Gare",
    }  # fmt: skip
    nodes.publish(
        nodes.world.offer(nodes.member, "Accueil", access=access),
        nodes.world.offer(nodes.member, "Escalier"),
    )
    assert nodes.titles(access=("disability", "cost")) == ["Accueil"]
    assert nodes.ask(access=("disability",)).hits[0].payload["access"] == access


@pytest.mark.capability("MSA-4")
def test_search_is_anonymous_keeps_no_query_and_prefers_no_coop(nodes: TwoNodes) -> None:
    other = nodes.world.make_member(2, "other")
    nodes.publish(
        nodes.world.membership(other),
        nodes.world.offer(nodes.member, "Permanence", at=NOW - 5, source=SOURCE),
        nodes.world.offer(other, "Permanence", at=NOW - 5, source=SOURCE),
    )
    question = "permanence xylographique"
    answer = nodes.ask(question)
    assert len({hit.score for hit in answer.hits}) == 1
    assert len({hit.coop for hit in answer.hits}) == 2
    assert all(hit.payload["source"]["name"] == "Liste" for hit in answer.hits)
    for path in nodes.folder.iterdir():
        assert b"xylographique" not in path.read_bytes(), path


@pytest.mark.capability("PLF-1")
def test_another_node_learns_of_a_member_what_was_published_and_no_name(nodes: TwoNodes) -> None:
    names = fields_of("membership")
    assert not names & {"name", "phone", "email", "address", "birth"}
    nodes.publish(nodes.world.offer(nodes.member, "Couture"))
    seen = nodes.there.store.by_kinds(["membership"])
    for valid in seen:
        assert valid.signed.payload is not None
        assert set(valid.signed.payload) <= names
