"""Claims about who is sent a message and who is only told of it, without a network."""

from __future__ import annotations

import random

import pytest

from maillon.node import bounds
from maillon.node.net.lazy import Links


def mid(number: int) -> bytes:
    return number.to_bytes(20, "big")


def test_a_neighbour_that_sends_what_it_was_sent_is_told_from_then_on() -> None:
    links: Links[str] = Links()
    assert links.send(mid(1), "a") and links.send(mid(1), "b")
    links.came(mid(1), "a", neighbour=True)
    assert not links.send(mid(2), "a") and links.send(mid(2), "b")
    assert links.announcements() == {"a": [mid(2)]} and links.announcements() == {}


def test_a_neighbour_that_announces_what_it_was_sent_is_told_from_then_on() -> None:
    links: Links[str] = Links()
    links.send(mid(1), "a")
    links.announced(mid(1), "a", neighbour=True)
    assert not links.send(mid(2), "a")


def test_a_neighbour_that_asks_is_sent_again() -> None:
    links: Links[str] = Links()
    links.send(mid(1), "a")
    links.came(mid(1), "a", neighbour=True)
    links.wanted("a")
    assert links.send(mid(2), "a")


def test_nobody_is_sent_or_told_what_it_sent_itself() -> None:
    links: Links[str] = Links()
    links.came(mid(1), "a", neighbour=True)
    assert not links.send(mid(1), "a") and not links.waiting
    assert links.send(mid(2), "a")  # and that it was the first to send says nothing against it


def test_what_a_told_neighbour_announces_itself_is_not_announced_to_it() -> None:
    links: Links[str] = Links()
    links.lazy.add("a")
    links.send(mid(1), "a")
    links.announced(mid(1), "a", neighbour=True)
    assert links.announcements() == {}


def test_a_told_neighbour_that_sends_is_still_told_and_so_learns_that_it_need_not() -> None:
    ours: Links[str] = Links()
    theirs: Links[str] = Links()
    ours.lazy.add("they")
    assert not ours.send(mid(1), "they") and theirs.send(mid(1), "we")
    ours.came(mid(1), "they", neighbour=True)
    assert ours.announcements() == {"they": [mid(1)]}
    theirs.announced(mid(1), "we", neighbour=True)
    assert not theirs.send(mid(2), "we")


def test_a_peer_outside_the_mesh_changes_nothing() -> None:
    links: Links[str] = Links()
    links.send(mid(1), "a")
    links.came(mid(1), "a", neighbour=False)
    assert links.send(mid(2), "a")


def rounds(links: Links[str], count: int) -> list[dict[str, list[bytes]]]:
    return [links.asks() for _ in range(count)]


def test_what_is_announced_is_asked_for_only_when_it_does_not_come_by_itself() -> None:
    links: Links[str] = Links()
    links.missing(mid(1), "a")
    links.missing(mid(2), "a")
    assert links.asks() == {}
    links.arrived(mid(1))
    assert rounds(links, 2) == [{"a": [mid(2)]}, {}]


def test_who_does_not_send_what_it_announced_is_not_the_only_one_asked() -> None:
    links: Links[str] = Links()
    for peer in ("liar", "gone", "honest"):
        links.missing(mid(1), peer)
    links.forget("gone")
    asked = [peer for answer in rounds(links, 40) for peer in answer]
    assert asked == ["liar", "honest"]
    rounds(links, round(bounds.GOSSIP_WAYS_BEATS / bounds.GOSSIP_ASK_S))
    assert not links.lacking


def test_what_is_remembered_is_bounded() -> None:
    links: Links[str] = Links()
    links.lazy.add("a")
    for number in range(bounds.GOSSIP_WAYS_MAX + 50):
        links.missing(mid(number), "b")
        links.send(mid(number), "a")
    assert len(links.announcements()["a"]) == bounds.GOSSIP_CONTROL_IDS_MAX
    assert not links.has(mid(0), "b") and links.has(mid(60), "b")
    assert sum(len(ids) for answer in rounds(links, 3) for ids in answer.values()) <= (
        bounds.GOSSIP_CONTROL_IDS_MAX
    )
    for _ in range(bounds.GOSSIP_WAYS_BEATS + 1):
        links.beat()
    assert not links.has(mid(60), "b")


class Mesh:
    """Nodes that carry messages over a random mesh; each copy takes a random time."""

    def __init__(self, rng: random.Random, nodes: int, degree: int) -> None:
        self.rng = rng
        self.links: list[Links[int]] = [Links() for _ in range(nodes)]
        self.near: list[set[int]] = [set() for _ in range(nodes)]
        for node in range(nodes):
            others = [other for other in range(nodes) if other != node]
            for other in [(node + 1) % nodes, *rng.sample(others, degree - 2)]:
                self.near[node].add(other)
                self.near[other].add(node)
        self.down: set[int] = set()

    def publish(self, number: int, origin: int) -> tuple[int, int]:
        """Return how many nodes have the message in the end, and how many copies were sent."""
        has = {origin}
        waiting: list[tuple[float, int, int]] = []
        copies = 0

        def push(node: int, now: float) -> None:
            for peer in sorted(self.near[node]):
                if self.links[node].send(mid(number), peer):
                    waiting.append((now + self.rng.random(), node, peer))

        push(origin, 0.0)
        while True:
            while waiting:
                now, sender, node = waiting.pop(waiting.index(min(waiting)))
                if node in self.down:
                    continue
                copies += 1
                self.links[node].came(mid(number), sender, neighbour=True)
                self.links[node].arrived(mid(number))
                if node not in has:
                    has.add(node)
                    push(node, now)
            # Nothing is on its way: announcements go out, then what is lacking is asked for.
            for node, links in enumerate(self.links):
                for peer, ids in links.announcements().items():
                    for one in ids:
                        if peer in self.down or one != mid(number):
                            continue
                        if peer in has:
                            self.links[peer].announced(one, node, neighbour=True)
                        else:
                            self.links[peer].missing(one, node)
            for _ in range(3):
                for node, links in enumerate(self.links):
                    for peer in links.asks():
                        if peer not in self.down:
                            self.links[peer].wanted(node)
                            waiting.append((0.0, peer, node))
            if not waiting and not any(
                links.waiting or links.lacking
                for node, links in enumerate(self.links) if node not in self.down
            ):
                return len(has), copies


@pytest.mark.parametrize("seed", range(8))
def test_every_message_reaches_everybody_and_soon_by_hardly_more_copies_than_a_tree(
    seed: int,
) -> None:
    mesh = Mesh(random.Random(seed), nodes=20, degree=4)
    copies: list[int] = []
    for number in range(60):
        reached, sent = mesh.publish(number, mesh.rng.randrange(20))
        assert reached == 20
        copies.append(sent)
    assert copies[0] > 2 * 19
    assert sum(copies[30:]) < 1.25 * 19 * 30


@pytest.mark.parametrize("seed", range(8))
def test_a_node_that_falls_silent_keeps_no_message_from_those_behind_it(seed: int) -> None:
    mesh = Mesh(random.Random(seed), nodes=20, degree=5)
    for number in range(30):
        mesh.publish(number, mesh.rng.randrange(20))
    mesh.down = {mesh.rng.randrange(20)}
    alive = [node for node in range(20) if node not in mesh.down]
    for number in range(30, 50):
        reached, _ = mesh.publish(number, mesh.rng.choice(alive))
        assert reached == 19
