"""Demands outside of opening hours go to the relay, and are answered in time or are missed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maillon.node.api import matching_shapes as shapes
from maillon.node.api.matching_service import CountOptions, RelayOptions
from maillon.node.matching import bounds
from maillon.node.matching.relays import Answered, NoRelay, NoSuchRequest
from maillon.protocol.envelope import Signed, draft, sign
from maillon.protocol.letters import ITEM_APP, ITEM_STEP, Item
from maillon.protocol.limits import RELAY_SLACK_S
from maillon.protocol.records import build
from maillon.protocol.records.kind import derived_series, random_series
from support.matchnet import MatchNet
from support.world import Member

DAY = 86_400
WITHIN = 1_800
# The world's clock stands at Tuesday 14 November 2023, 23:13 in Paris.
DAYTIME = {day: [[540, 1080]] for day in ("mo", "tu", "we", "th", "fr")}
ALWAYS = {day: [[0, 1440]] for day in ("mo", "tu", "we", "th", "fr", "sa", "su")}


@pytest.fixture
def net(tmp_path: Path) -> Iterator[MatchNet]:
    made = MatchNet(tmp_path, coops=3)
    yield made
    made.close()


def name_relay(
    net: MatchNet, hours: dict[str, Any], *, of: Member | None = None, relay: int = 1
) -> Signed:
    """Publish the opening hours of coop 0, or of one of its members, and who sees to the rest."""
    coop = net.world.coops[0]
    fields = {"hours": hours, "tz": "Europe/Paris", "relay": net.world.coops[relay].id}
    made = net.world.record(
        "relay", build("relay", salt=net.world.fresh(), ack_within_s=WITHIN, **fields),
        coop=coop, by=coop.node if of is None else of.key, series=derived_series("relay", b""),
    )  # fmt: skip
    net.spread(made)
    return made


def rows(net: MatchNet, place: int, **options: Any) -> list[shapes.Relay]:
    return net.nodes[place].desk.relays(RelayOptions(**options)).relays


def night_demand(net: MatchNet, title: str = "Fuite d'eau", **fields: Any) -> Signed:
    asks = getattr(net, "asks", None) or net.member(0, "asks")
    net.asks = asks  # type: ignore[attr-defined]  # one resident for all demands of a test
    net.world.now = net.now
    demand = net.world.demand(asks, title, **fields)
    net.spread(demand)
    net.look()
    return demand


def told(net: MatchNet, place: int) -> list[str]:
    return [event.kind for event in net.nodes[place].told if event.kind.startswith("relay")]


def test_a_demand_at_night_goes_to_the_relay_and_its_answer_comes_back(net: MatchNet) -> None:
    name_relay(net, DAYTIME)
    demand = night_demand(net, urgency="emergency")
    (out,) = rows(net, 0)
    assert (out.way, out.status, out.demand) == ("out", "asked", demand.id.hex())
    assert out.deadline == net.now + WITHIN
    assert net.deliver() == 1
    (came,) = rows(net, 1)
    assert (came.way, came.status, came.urgency, came.agreed) == ("in", "asked", "emergency", True)
    assert told(net, 1) == ["relay_asked"] and rows(net, 2) == []
    net.now += 600
    done = net.nodes[1].desk.answer_relay(came.id[:12], shapes.RelayAnswer(True, "J'y vais."))
    assert (done.status, done.late) == ("taken", False)
    assert net.deliver() == 1
    (after,) = rows(net, 0)
    assert (after.status, after.answered_at, after.answer) == ("taken", net.now, "J'y vais.")
    assert not after.late and told(net, 0) == ["relay_taken"]
    with pytest.raises(Answered):
        net.nodes[1].desk.answer_relay(came.id, shapes.RelayAnswer(False))
    assert rows(net, 1)[0].status == "taken"
    # Nothing more happens, also when everything is looked at again.
    net.now += 10 * WITHIN
    net.look()
    assert net.deliver() == 0 and rows(net, 0)[0].status == "taken"
    assert net.nodes[0].desk.counts(CountOptions()).relayed["taken"] == 1


def test_in_opening_hours_nothing_is_handed_over_and_by_hand_it_can_be(net: MatchNet) -> None:
    name_relay(net, ALWAYS)
    demand = night_demand(net)
    assert rows(net, 0) == [] and net.deliver() == 0
    desk = net.nodes[0].desk
    request = shapes.RelayRequest(demand.id.hex(), "Nous sommes débordés.")
    assert desk.relay(request).status == "asked"
    with pytest.raises(Answered):
        desk.relay(request)
    net.deliver()
    assert rows(net, 1)[0].text == "Nous sommes débordés."


def test_whoever_has_hours_of_their_own_goes_by_those(net: MatchNet) -> None:
    open_house = net.member(0, "open house")
    name_relay(net, DAYTIME)
    name_relay(net, ALWAYS, of=open_house)
    net.asks = open_house  # type: ignore[attr-defined]
    night_demand(net)
    assert rows(net, 0) == []


def test_demands_of_other_coops_and_old_ones_are_not_handed_over(net: MatchNet) -> None:
    name_relay(net, DAYTIME)
    other = net.member(2, "other")
    net.spread(net.world.demand(other, "Ailleurs"))
    net.look()
    night_demand(net, at=net.now - bounds.RELAYED_AGE_S - 1)
    assert [rows(net, place) for place in range(3)] == [[], [], []]


def test_an_opening_at_night_goes_once_to_the_relay_of_whom_it_reaches(net: MatchNet) -> None:
    house, alone = net.member(0, "open house"), net.member(0, "alone")
    coop, elsewhere = net.world.coops[0].id, net.world.coops[2].id
    name_relay(net, DAYTIME)
    name_relay(net, DAYTIME, of=house)
    relaying = net.nodes[0].desk.relaying

    def opened(provider: bytes, label: str, at: int = 0) -> bytes:
        id = net.world.derive(label, 32)
        relaying.opened(id, provider, net.now - at, "Une visite", elsewhere)
        return id

    ids = [opened(house.author, "one"), opened(b"c" + coop, "two")]
    opened(house.author, "one")
    # A person without a relay of their own, and what was opened long ago, are told to nobody.
    opened(alone.author, "three")
    opened(house.author, "four", at=bounds.RELAYED_AGE_S + 1)
    assert sorted(row.demand for row in rows(net, 0)) == sorted(id.hex() for id in ids)
    assert net.deliver() == 2
    came = rows(net, 1)
    assert {row.title for row in came} == {""}
    # The title and whose desk to call; nothing of who asks.
    name = net.nodes[0].coop_name(elsewhere)
    assert {row.text for row in came} == {f"Une visite (for {name})"}
    done = net.nodes[1].desk.answer_relay(came[0].id, shapes.RelayAnswer(True))
    assert done.status == "taken" and net.deliver() == 1
    assert sorted(row.status for row in rows(net, 0)) == ["asked", "taken"]


def test_an_opening_in_opening_hours_is_seen_by_the_desk_itself(net: MatchNet) -> None:
    house = net.member(0, "open house")
    name_relay(net, DAYTIME)
    name_relay(net, ALWAYS, of=house)
    id, relaying = net.world.derive("one", 32), net.nodes[0].desk.relaying
    relaying.opened(id, house.author, net.now, "Une visite", house.coop.id)
    assert rows(net, 0) == [] and net.deliver() == 0


def test_without_a_relay_it_cannot_be_handed_over(net: MatchNet) -> None:
    demand = night_demand(net)
    with pytest.raises(NoRelay):
        net.nodes[0].desk.relay(shapes.RelayRequest(demand.id.hex()))
    assert rows(net, 0) == []


def test_what_nobody_answers_is_missed_and_the_desk_told_and_a_late_answer_still_counts_as_late(
    net: MatchNet,
) -> None:
    name_relay(net, DAYTIME)
    night_demand(net)
    net.deliver()
    net.now += WITHIN + RELAY_SLACK_S
    net.look()
    assert rows(net, 0)[0].status == "asked"
    net.now += 1
    net.look()
    assert [rows(net, place)[0].status for place in (0, 1)] == ["missed", "missed"]
    assert told(net, 0) == ["relay_missed"]
    net.look()
    assert told(net, 0) == ["relay_missed"]
    came = rows(net, 1)[0]
    net.nodes[1].desk.answer_relay(came.id, shapes.RelayAnswer(True))
    net.deliver()
    after = rows(net, 0)[0]
    assert (after.status, after.late) == ("taken", True)


def test_a_request_survives_a_crash_before_the_post_had_it(net: MatchNet) -> None:
    name_relay(net, DAYTIME)
    net.nodes[0].post_open = False
    night_demand(net)
    assert net.deliver() == 0 and net.nodes[0].faults
    net.nodes[0].restart()
    net.nodes[0].post_open = True
    net.look()
    assert net.deliver() == 1
    net.look()
    assert net.deliver() == 0 and len(rows(net, 1)) == 1


def test_the_report_says_how_a_relay_kept_to_the_time_agreed(net: MatchNet) -> None:
    name_relay(net, DAYTIME)
    start = net.now
    for n, (wait, taken) in enumerate(((60, True), (300, False), (WITHIN * 2, True), (0, None))):
        night_demand(net, f"Nuit {n}")
        net.deliver()
        came = rows(net, 1, status="asked")[0]
        if taken is None:
            net.now += WITHIN + RELAY_SLACK_S + 1
            net.look()
            continue
        net.now += wait
        net.look()
        net.nodes[1].desk.answer_relay(came.id, shapes.RelayAnswer(taken))
        net.deliver()
        net.now += 60
    (figures,) = net.nodes[0].desk.relay_report(start, net.now + 1).figures
    assert figures.coop == net.world.coops[1].id.hex() and figures.way == "out"
    counts = (figures.asked, figures.taken, figures.refused, figures.missed, figures.late)
    assert counts == (4, 2, 1, 1, 1) and figures.waiting == 0
    assert figures.in_time_percent == 50.0
    assert (figures.median_s, figures.longest_s) == (300, WITHIN * 2)
    assert net.nodes[0].desk.relay_report(0, start).figures == []
    (theirs,) = net.nodes[1].desk.relay_report(start, net.now + 1).figures
    assert (theirs.way, theirs.asked) == ("in", 4)


# --- bad input ------------------------------------------------------------------------------------


def letter(net: MatchNet, to: int, of: int, signed: Signed, *more: Item) -> None:
    node = net.nodes[to]
    node.letters.letter_opened(
        node.sealing.public, net.world.coops[of].id, [Item(ITEM_STEP, signed.encode()), *more]
    )


def relay_record(net: MatchNet, coop: int, kind: str, **fields: Any) -> Signed:
    """Sign a request or an answer as any coop, true or not."""
    where = net.world.coops[coop]
    made = draft(
        kind, build(kind, salt=net.world.fresh(), **fields), fed=net.world.founding.fed,
        coop=where.id, by=where.node.public, at=net.now, until=net.now + 20 * DAY,
        series=random_series(kind, net.world.fresh()),
    )  # fmt: skip
    return sign(made, where.node)


def test_answers_of_others_about_others_and_unasked_ones_change_nothing(net: MatchNet) -> None:
    name_relay(net, DAYTIME)
    demand = night_demand(net)
    request = bytes.fromhex(rows(net, 0)[0].id)
    before = net.nodes[0].desk.disk.relays()
    answer = {"request": request, "demand": demand.id, "taken": True}
    for of, signed in (
        (2, relay_record(net, 2, "relay_ack", **answer)),
        # Signed by the relay, brought by another coop.
        (2, relay_record(net, 1, "relay_ack", **answer)),
        (1, relay_record(net, 1, "relay_ack", **{**answer, "demand": bytes(32)})),
        (1, relay_record(net, 1, "relay_ack", **{**answer, "request": bytes(32)})),
    ):
        letter(net, 0, of, signed)
        assert net.nodes[0].desk.disk.relays() == before
    assert net.nodes[0].desk.relaying.letters_refused == 4
    letter(net, 0, 1, relay_record(net, 1, "relay_ack", **answer))
    assert rows(net, 0)[0].status == "taken"


def test_requests_beyond_the_bound_and_without_time_are_refused_and_repeats_are_one(
    net: MatchNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = relay_record(net, 0, "relay_request", demand=bytes(32), deadline=net.now)
    letter(net, 1, 0, late)
    assert rows(net, 1) == []
    monkeypatch.setattr(bounds, "RELAYS_OPEN_PER_COOP_MAX", 2)
    made = [
        relay_record(net, 0, "relay_request", demand=bytes([n]) * 32, deadline=net.now + 60)
        for n in range(3)
    ]
    for signed in (made[0], made[0], made[1], made[2]):
        letter(net, 1, 0, signed)
    assert len(rows(net, 1)) == 2
    # Another coop has room of its own, and who names no relay is shown as such.
    letter(net, 1, 2, relay_record(net, 2, "relay_request", demand=bytes(32),
                                   deadline=net.now + 60))  # fmt: skip
    assert len(rows(net, 1)) == 3 and not any(row.agreed for row in rows(net, 1))


def test_what_is_not_about_relays_goes_on_to_who_reads_exchanges(net: MatchNet) -> None:
    asked = relay_record(net, 0, "relay_request", demand=bytes(32), deadline=net.now + 60)
    other = Item(ITEM_APP, b"something else")
    letter(net, 1, 0, asked, other)
    node = net.nodes[1]
    assert node.rest.items == [other] and len(rows(net, 1)) == 1
    node.letters.letter_ended(b"i" * 32, b"relayo" + b"t" * 32, node.sealing.public, "expired")
    node.letters.letter_ended(b"i" * 32, b"t" * 32, node.sealing.public, "expired")
    assert node.rest.ended == [(b"t" * 32, "expired")] and ("relay", "expired") in node.faults


def test_a_request_that_is_not_there_is_told_as_such(net: MatchNet) -> None:
    for id in ("00" * 32, "zz", ""):
        with pytest.raises(NoSuchRequest):
            net.nodes[0].desk.answer_relay(id, shapes.RelayAnswer(True))
