"""Who is proposed what, who is told, and who may read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.api import matching_shapes as shapes
from maillon.node.api.caller import NOBODY, Caller, Forbidden, NotSignedIn
from maillon.node.api.matching_service import CountOptions, MatchOptions
from maillon.node.matching import bounds
from maillon.node.matching.saving import NoSuchSearch, TooMany
from maillon.protocol.errors import LocalError
from maillon.protocol.records import build, thing_id
from maillon.protocol.records.kind import derived_series
from support.matchnet import THE_OPERATOR, MatchNet, caller_of
from support.world import Member

DAY = 86_400
WORD = "zwqxkbvjmt"
DESK = Caller("token", scopes=frozenset({"read", "desk"}), id="desk")


@pytest.fixture
def net(tmp_path: Path) -> Iterator[MatchNet]:
    made = MatchNet(tmp_path)
    yield made
    made.close()


def asked(net: MatchNet, id: bytes, caller: Caller = NOBODY, place: int = 0, **more: Any) -> Any:
    return net.nodes[place].desk.matches(id.hex(), MatchOptions(**more), caller)


def notices(net: MatchNet, member: Member, place: int = 0) -> shapes.Notices:
    return net.nodes[place].desk.notices("", False, 100, caller_of(member))


# --- proposals ----------------------------------------------------------------------------------


def test_a_new_demand_tells_its_author_of_offers_and_their_authors_of_it_at_both_coops(
    net: MatchNet,
) -> None:
    asks, gives, other = net.member(0, "asks"), net.member(1, "gives"), net.member(1, "other")
    offer = net.world.offer(gives, "Tonte de pelouse")
    net.spread(offer, net.world.offer(other, "Cours de piano", categories=["musique"]))
    net.look()
    assert notices(net, asks).notices == []
    demand = net.world.demand(asks, "Tondre ma pelouse", urgency="conviviality")
    net.spread(demand)
    net.look()
    (told,) = notices(net, asks).notices
    assert (told.record, told.source, told.seen) == (offer.id.hex(), "record", False)
    (heard,) = notices(net, gives, 1).notices
    assert (heard.record, heard.urgency) == (demand.id.hex(), "conviviality")
    assert notices(net, gives, 1).urgency == {"emergency": 0, "planned": 0, "conviviality": 1}
    assert notices(net, other, 1).notices == []
    events = [(e.author, e.kind, e.facts["record"]) for e in net.nodes[1].told]
    assert (gives.author, "proposed", demand.id) in events
    assert all("title" not in e.facts for e in net.nodes[0].told)
    # Once: not again for what was told, nor after a new start.
    net.nodes[0].restart()
    net.look()
    assert len(notices(net, asks).notices) == 1
    assert len([e for e in net.nodes[0].told if e.author == asks.author]) == 1


def test_what_arrived_while_the_node_was_down_is_told_when_it_is_back(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    net.spread(net.world.demand(asks, "Tondre ma pelouse"))
    net.look()
    net.nodes[0].desk.close()
    offer = net.world.offer(gives, "Tonte de pelouse")
    effects = net.nodes[0].engine.submit(offer.encode(), float(net.now), net.nodes[0].verify)
    assert effects
    net.nodes[0].desk = type(net.nodes[0].desk)(net.nodes[0])
    net.nodes[0].desk.noticing.begin()
    net.look()
    assert [n.record for n in notices(net, asks).notices] == [offer.id.hex()]


def test_what_was_made_long_ago_and_arrives_only_now_is_no_news(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    demand = net.world.demand(asks, "Tondre ma pelouse")
    net.spread(demand)
    net.look()
    offer = net.world.offer(gives, "Tonte de pelouse", at=net.now - bounds.NEWS_S - 1, days=90)
    net.spread(offer)
    net.look()
    assert notices(net, asks).notices == []
    # It is proposed all the same to whoever looks.
    assert [m.id for m in asked(net, demand.id).matches] == [offer.id.hex()]


def test_a_notice_about_what_is_withdrawn_is_gone(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    offer = net.world.offer(gives, "Tonte de pelouse")
    net.spread(offer, net.world.demand(asks, "Tondre ma pelouse"))
    net.look()
    assert notices(net, asks).unseen == 1
    net.spread(net.world.withdrawal(offer, gives.key, gives.coop))
    assert notices(net, asks).notices == []


def test_nobody_is_proposed_what_they_published_themselves(net: MatchNet) -> None:
    asks = net.member(0, "asks")
    demand = net.world.demand(asks, "Tondre ma pelouse")
    net.spread(demand, net.world.offer(asks, "Tonte de pelouse"))
    found = asked(net, demand.id)
    assert found.matches == [] and found.left_out == {"own": 1}


def test_a_draft_shows_what_fits_and_which_offers_are_close_without_being_kept(
    net: MatchNet,
) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    net.spread(
        net.world.demand(asks, "Tondre ma pelouse"),
        net.world.offer(
            gives, "Tonte de pelouse",
            when={"hours": {"mo": [[480, 720]]}, "tz": "Europe/Paris"},
        ),
    )  # fmt: skip
    payload = {
        "title": f"Tonte de pelouse {WORD}",
        "lang": "fr",
        "categories": ["jardin"],
        "mode": ["at_home"],
        "reciprocity": {"kind": "free"},
        "when": {"hours": {"fr": [[480, 720]]}, "tz": "Europe/Paris"},
    }
    found = net.nodes[0].desk.draft_matches(shapes.DraftRequest("offer", payload), NOBODY)
    assert [m.payload["title"] for m in found.matches.matches] == ["Tondre ma pelouse"]
    (close,) = found.close.matches
    assert close.payload["title"] == "Tonte de pelouse"
    assert "at other times than yours: you complete each other" in close.reasons
    with pytest.raises(LocalError):
        net.nodes[0].desk.draft_matches(shapes.DraftRequest("offer", {"title": WORD}), NOBODY)
    for path in net.nodes[0].folder.rglob("*"):
        assert WORD.encode() not in path.read_bytes(), path


def test_why_not_names_everything_that_speaks_against_a_pair(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    saturday = net.now - net.now % DAY + 4 * DAY
    demand = net.world.demand(
        asks, "Tondre", audience=["seniors"],
        when={"windows": [{"start": saturday, "end": saturday + 3600}]},
    )  # fmt: skip
    offer = net.world.offer(
        gives, "Cours de piano", categories=["musique"], mode=["remote"],
        audience=["etudiants"], when={"windows": [{"start": saturday + 7200,
                                                   "end": saturday + 9000}]},
    )  # fmt: skip
    net.spread(demand, offer)
    shown = net.nodes[0].desk.why_not(demand.id.hex(), offer.id.hex(), NOBODY)
    assert {one.code for one in shown.refused} == {"subject", "mode", "audience", "time"}
    assert all(one.reason for one in shown.refused)
    back = net.nodes[0].desk.why_not(offer.id.hex(), demand.id.hex(), NOBODY)
    assert {one.code for one in back.refused} == {one.code for one in shown.refused}


def test_a_published_calendar_keeps_the_busy_out_and_tells_nothing_else(net: MatchNet) -> None:
    asks, busy, free = net.member(0, "asks"), net.member(1, "busy"), net.member(0, "free")
    saturday = net.now - net.now % DAY + 4 * DAY
    when = {"windows": [{"start": saturday + 3600, "end": saturday + 7200}]}
    for provider, spans in ((busy, [[saturday, saturday + DAY]]), (free, [])):
        net.spread(
            net.world.offer(provider, "Tonte de pelouse"),
            net.world.record(
                "freebusy",
                build("freebusy", salt=bytes(16), busy=spans, until=net.now + 20 * DAY),
                coop=provider.coop, by=provider.key, series=derived_series("freebusy", b""),
            ),
        )  # fmt: skip
    demand = net.world.demand(asks, "Tondre", when=when)
    net.spread(demand)
    found = asked(net, demand.id)
    assert [m.author for m in found.matches] == [free.author.hex()]
    assert found.left_out == {"busy": 1}
    assert any(words.startswith("is free then") for words in found.matches[0].reasons)
    # The provider's own offer is not proposed the demand either.
    offer = next(r for r in net.nodes[0].desk.records.of_author(busy.author, "offer", 9))
    assert asked(net, offer.id).left_out == {"busy": 1}


def test_dealings_count_for_the_two_and_are_shown_to_nobody_else(net: MatchNet) -> None:
    asks, gives, other = net.member(0, "asks"), net.member(1, "gives"), net.member(1, "other")
    demand = net.world.demand(asks, "Tondre")
    net.spread(demand, net.world.offer(gives, "Tonte"), net.world.offer(other, "Tonte"))
    transfer = net.deal(asks, gives, "one")
    net.spread(net.world.attestation(asks, transfer, gives.author))
    net.look()
    best = asked(net, demand.id, caller_of(asks)).matches[0]
    assert best.author == gives.author.hex() and best.parts["dealings"] > 0
    for caller in (NOBODY, caller_of(other)):
        for match in asked(net, demand.id, caller).matches:
            assert "dealings" not in match.parts
    helped = asked(net, demand.id, caller_of(other, asks.author)).matches[0]
    assert helped.parts["dealings"] > 0


def test_only_offers_and_demands_that_stand_are_matched(net: MatchNet) -> None:
    asks = net.member(0, "asks")
    demand = net.world.demand(asks, "Tondre")
    net.spread(demand, net.world.withdrawal(demand, asks.key, asks.coop))
    with pytest.raises(LocalError):
        asked(net, demand.id)


def test_urgencies_are_counted_apart(net: MatchNet) -> None:
    asks = net.member(0, "asks")
    for urgency, count in (("emergency", 3), ("planned", 2), ("conviviality", 1)):
        for n in range(count):
            net.spread(net.world.demand(asks, f"{urgency} {n}", urgency=urgency))
    counted = net.nodes[1].desk.counts(CountOptions())
    assert (counted.emergency, counted.planned, counted.conviviality) == (3, 2, 1)
    other = CountOptions(coops=(net.world.coops[1].id.hex(),))
    assert net.nodes[1].desk.counts(other).emergency == 0
    assert net.nodes[1].desk.counts(CountOptions(categories=("musique",))).planned == 0


# --- saved searches -------------------------------------------------------------------------------


def saved(net: MatchNet, member: Member, q: str = "pelouse", **more: Any) -> shapes.SavedSearch:
    request = shapes.SearchRequest(shapes.SavedQuery(q=q, **more), name="Jardin")
    return net.nodes[0].desk.save(request, caller_of(member))


def test_a_saved_search_tells_of_what_is_new_since_the_last_look(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    net.spread(net.world.offer(gives, "Pelouse : ancienne offre", at=net.now - 90))
    net.look()
    search = saved(net, asks)
    desk = net.nodes[0].desk
    new = net.world.offer(gives, "Tonte de pelouse")
    net.spread(new, net.world.offer(gives, "Cours de piano"))
    net.look()
    (listed,) = desk.searches("", caller_of(asks)).searches
    assert (listed.name, listed.new) == ("Jardin", 1)
    (told,) = notices(net, asks).notices
    assert (told.source, told.source_id, told.record) == ("search", search.id, new.id.hex())
    assert [e.kind for e in net.nodes[0].told if e.author == asks.author] == ["found"]
    looked = desk.look(search.id, 20, caller_of(asks))
    assert [(found.payload["title"], found.new) for found in looked.found] == [
        ("Tonte de pelouse", True), ("Pelouse : ancienne offre", False),
    ]  # fmt: skip
    again = desk.look(search.id, 20, caller_of(asks))
    assert again.search.new == 0 and not any(found.new for found in again.found)


def test_a_saved_search_is_private_sealed_and_leaves_with_its_owner(net: MatchNet) -> None:
    asks, other = net.member(0, "asks"), net.member(0, "other")
    search = saved(net, asks, q=WORD)
    desk = net.nodes[0].desk
    before = desk.searches("", caller_of(asks))
    for refusal in (
        lambda: desk.look(search.id, 5, caller_of(other)),
        lambda: desk.forget_search(search.id, caller_of(other)),
        lambda: desk.searches(asks.person.hex(), caller_of(other)),
        lambda: desk.notices(asks.person.hex(), False, 5, caller_of(other)),
    ):
        with pytest.raises(Forbidden):
            refusal()
    with pytest.raises(NotSignedIn):
        desk.searches(asks.person.hex(), NOBODY)
    assert desk.searches("", caller_of(asks)) == before
    assert desk.searches(asks.person.hex(), DESK) == before
    assert desk.searches(asks.person.hex(), caller_of(other, asks.author)) == before
    for path in net.nodes[0].folder.rglob("*"):
        assert WORD.encode() not in path.read_bytes(), path
    assert desk.forget_search(search.id, caller_of(asks)).searches == []
    with pytest.raises(NoSuchSearch):
        desk.look(search.id, 5, caller_of(asks))


def test_searches_and_notices_of_one_person_are_bounded(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    for n in range(bounds.SEARCHES_PER_PERSON_MAX):
        saved(net, asks, q=f"mot{n}")
    with pytest.raises(TooMany):
        saved(net, asks)
    desk = net.nodes[0].desk
    assert len(desk.searches("", caller_of(asks)).searches) == bounds.SEARCHES_PER_PERSON_MAX
    first = desk.searches("", caller_of(asks)).searches[0]
    desk.forget_search(first.id, caller_of(asks))
    saved(net, asks)
    for n in range(bounds.NOTICES_PER_PERSON_MAX + 5):
        net.nodes[0].take(net.world.offer(gives, f"Pelouse {n}"))
    net.look()
    assert len(desk.disk.notices(asks.author, limit=1_000)) == bounds.NOTICES_PER_PERSON_MAX


def test_seen_notices_stay_and_count_no_more(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    saved(net, asks)
    net.spread(net.world.offer(gives, "Tonte de pelouse"))
    net.look()
    desk = net.nodes[0].desk
    assert desk.seen(shapes.SeenRequest(), caller_of(asks)).seen == 1
    assert desk.seen(shapes.SeenRequest(), caller_of(asks)).seen == 0
    shown = notices(net, asks)
    assert (len(shown.notices), shown.unseen) == (1, 0)


def test_what_is_kept_of_a_person_goes_when_they_are_erased(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    saved(net, asks)
    net.spread(net.world.offer(gives, "Tonte de pelouse"))
    net.look()
    desk = net.nodes[0].desk
    kept = desk.kept_of(asks.author)
    assert len(kept["searches"]) == len(kept["notices"]) == 1
    assert desk.disk.forget_author(asks.author) == 2
    desk.disk.scrub()
    assert desk.kept_of(asks.author) == {"searches": [], "notices": [], "sealed_bids": []}
    for path in (net.nodes[0].folder / "matching.db", net.nodes[0].folder / "matching.db-wal"):
        assert not path.exists() or asks.author not in path.read_bytes()


# --- what is said of somebody ---------------------------------------------------------------------


def test_a_reputation_is_criteria_counts_texts_and_replies_and_no_number_alone(
    net: MatchNet,
) -> None:
    own, far = net.member(0, "own"), net.member(1, "far")
    gives = net.member(1, "gives", provider_status="self_employed", verified_by=None)
    marks = [
        net.world.attestation(
            speaker, net.deal(speaker, gives, speaker.name), gives.author,
            criteria={"politeness": mark}, text=f"Mot de {speaker.name}",
        )
        for speaker, mark in ((own, 5), (far, 2))
    ]  # fmt: skip
    net.spread(*marks, net.world.reply(gives, marks[0].id, "Merci à vous."))
    net.look()
    shown = net.nodes[0].desk.reputation(gives.author.hex(), NOBODY)
    assert shown.complete and shown.given == 2 and shown.score is not None
    assert shown.by_relation["own"] == 1 and shown.by_relation["dealt_with"] == 1
    assert shown.criteria["politeness"].count == 2
    said = {one.text: one for one in shown.said}
    assert said["Mot de own"].replies[0].text == "Merci à vous."
    assert said["Mot de far"].replies == [] and said["Mot de far"].relation == "dealt_with"
    assert [(s.status, s.verified) for s in shown.statuses] == [
        ("self_employed", "self_declared")
    ]
    assert shown.guarantees_open is None
    assert net.nodes[0].desk.reputation(gives.author.hex(), THE_OPERATOR).guarantees_open == 0
    # Seen from the other coop the same two people weigh otherwise.
    there = net.nodes[1].desk.reputation(gives.author.hex(), NOBODY)
    assert there.by_relation["own"] == 1 and there.score != shown.score
    newcomer = net.nodes[0].desk.reputation(own.author.hex(), NOBODY)
    assert newcomer.score is None and newcomer.given == 0


def test_marks_come_and_go_with_the_records_whatever_order_they_are_told_in(
    net: MatchNet,
) -> None:
    own, gives = net.member(0, "own"), net.member(1, "gives")
    node = net.nodes[0]
    mark = net.world.attestation(own, net.deal(own, gives, "one"), gives.author)
    net.spread(mark)
    net.look()
    assert node.desk.reputation(gives.author.hex(), NOBODY).given == 1
    net.spread(net.world.withdrawal(mark, own.key, own.coop))
    net.look()
    after = node.desk.reputation(gives.author.hex(), NOBODY)
    assert (after.given, after.said) == (0, [])
    assert node.desk.marks.dealings(own.author) == {}
    node.restart()
    net.look()
    assert node.desk.reputation(gives.author.hex(), NOBODY) == after


def test_what_was_said_of_somebody_follows_them_to_another_coop(net: MatchNet) -> None:
    own, gives = net.member(0, "own"), net.member(1, "gives")
    mark = net.world.attestation(own, net.deal(own, gives, "one"), gives.author)
    net.spread(mark)
    net.look()
    moved = net.world.make_member(0, "moved", key="coop 1/gives")
    assert moved.key.public == gives.key.public
    net.spread(net.world.membership(moved))
    payload = build("move", salt=bytes(16), **{"to": moved.author, "from": gives.author})
    net.spread(
        net.world.record(
            "move", payload, coop=gives.coop, by=gives.key,
            series=derived_series("move", gives.author),
        )
    )  # fmt: skip
    net.look()
    assert net.nodes[0].store.count_live().get("move") == 1
    shown = net.nodes[0].desk.reputation(moved.author.hex(), NOBODY)
    assert (shown.given, shown.former) == (1, [gives.author.hex()])
    assert net.nodes[0].desk.reputation(gives.author.hex(), NOBODY).author == moved.author.hex()
    assert net.nodes[0].desk.marks.dealings(own.author) == {moved.author: 1}


def test_an_author_that_is_none_is_refused(net: MatchNet) -> None:
    for text in ("", "zz", "70" + "00" * 20, "71" + "00" * 48):
        with pytest.raises(LocalError):
            net.nodes[0].desk.reputation(text, NOBODY)


def test_the_thing_of_a_match_is_that_of_its_record(net: MatchNet) -> None:
    asks, gives = net.member(0, "asks"), net.member(1, "gives")
    demand, offer = net.world.demand(asks, "Tondre"), net.world.offer(gives, "Tonte")
    net.spread(demand, offer)
    (match,) = asked(net, demand.id).matches
    assert match.thing == thing_id(gives.author, offer.header.series).hex()


def test_a_mark_that_the_community_does_not_ask_for_is_left_out_and_named(net: MatchNet) -> None:
    own, far = net.member(0, "own"), net.member(1, "far")
    gives = net.member(1, "gives")
    marks = [
        net.world.attestation(
            speaker, net.deal(speaker, gives, speaker.name), gives.author,
            criteria=criteria, text=f"Mot de {speaker.name}",
        )
        for speaker, criteria in ((own, {"politeness": 5, "qualty": 0}), (far, {"zzz": 0}))
    ]  # fmt: skip
    net.spread(*marks)
    net.look()
    shown = net.nodes[0].desk.reputation(gives.author.hex(), NOBODY)
    # The records are valid and their words are shown; what nobody asked for weighs nothing.
    assert (list(shown.criteria), shown.given) == (["politeness"], 1)
    said = {one.text: (one.criteria, one.unasked) for one in shown.said}
    assert said == {
        "Mot de own": ({"politeness": 5}, ["qualty"]),
        "Mot de far": ({}, ["zzz"]),
    }
