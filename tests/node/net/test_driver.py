"""The life of a node's network: starting, finding peers again, strangers, faults, stopping."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from maillon.node.net import Libp2pNetwork
from maillon.node.net.identity import peer_id
from maillon.node.net.interfaces import local_hosts
from maillon.node.ports import Network
from maillon.protocol.keys import SigningKey
from support.nethost import Child, Refused, attacker, link


@contextmanager
def nodes(*names: str, **config: Any) -> Generator[list[Child]]:
    """Start drivers and end them politely."""
    with ExitStack() as stack:
        started: list[Child] = []
        for name in names:
            child = Child(name, **config)
            stack.callback(child.kill)
            started.append(child)
        yield started
        for child in started:
            if child.process.poll() is None:
                assert child.stop() == 0


def gossips(one: Child, other: Child, data: str) -> None:
    """Assert that a message goes from one to the other."""
    one.ask("publish", data=data)
    assert other.ask("got", data=data) == 1


def is_a_network(net: Libp2pNetwork) -> Network:
    """Return what it is given: a claim that the type checkers test."""
    return net


def test_importing_the_package_does_not_import_libp2p() -> None:
    code = "import sys, maillon.node.net; sys.exit('libp2p' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_taken_port_is_reported_in_a_sentence() -> None:
    with nodes("first") as [first]:
        second = Child("second", listen=[f"/ip4/127.0.0.1/tcp/{first.port}"])
        try:
            assert second.failed is not None
            assert second.failed["code"] == "listen_failed"
            assert "already in use" in second.failed["failed"]
            assert second.failed["hint"]
        finally:
            second.kill()
        # The one that has the port is not disturbed.
        assert first.ask("metrics")["running"] == 1


@pytest.mark.parametrize(
    ("listen", "code", "words"),
    [
        ("/ip4/192.0.2.1/tcp/0", "listen_failed", "not an address of this machine"),
        ("/ip4/127.0.0.1/udp/4001", "address", "looks like"),
        ("/ip4/127.0.0.1/tcp/99999", "address", "host and port"),
    ],
)
def test_an_unusable_listening_address_is_reported_in_a_sentence(
    listen: str, code: str, words: str
) -> None:
    child = Child("listener", listen=["/ip4/127.0.0.1/tcp/0", listen])
    try:
        assert child.failed is not None
        assert child.failed["code"] == code
        assert words in child.failed["failed"]
    finally:
        child.kill()


def test_nodes_meet_over_ipv6_and_by_name() -> None:
    with nodes("six", "name", listen=["/ip6/::1/tcp/0", "/ip4/127.0.0.1/tcp/0"]) as [six, name]:
        name.ask("dial", peer=six.hex, addresses=[f"/ip6/::1/tcp/{six.port}"])
        assert name.ask("mesh", peer=six.hex)
        name.ask("forget", peer=six.hex)
        assert six.ask("connected", peer=name.hex, want=False)
        port = six.addresses[1].split("/")[4]
        name.ask("dial", peer=six.hex, addresses=[f"/dns4/localhost/tcp/{port}"])
        assert name.ask("mesh", peer=six.hex)
        gossips(six, name, "hello")


def test_a_node_that_is_down_at_the_start_is_dialled_until_it_is_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    with nodes("early", bounds={"REDIAL_S_MAX": 1.0}) as [early]:
        late = Child("late", listen=[f"/ip4/127.0.0.1/tcp/{port}"])
        address = late.addresses
        assert late.stop() == 0
        early.ask("dial", peer=late.hex, addresses=address)
        assert early.ask("wait", metric="dials_failed", least=2) >= 2
        assert early.ask("peers")[0]["last_error"]
        again = Child("late", listen=[f"/ip4/127.0.0.1/tcp/{port}"])
        try:
            assert early.ask("mesh", peer=again.hex)
            gossips(early, again, "there you are")
            assert again.stop() == 0
        finally:
            again.kill()


def test_after_a_restart_with_the_same_key_messages_are_not_taken_for_seen_ones() -> None:
    with nodes("stays", bounds={"REDIAL_S_MAX": 1.0}) as [stays]:
        first = Child("returns")
        try:
            stays.ask("dial", peer=first.hex, addresses=first.addresses)
            assert stays.ask("mesh", peer=first.hex) and first.ask("mesh", peer=stays.hex)
            first.ask("publish", data="before", count=100)
            assert stays.ask("got", data="before", count=100) == 100
        finally:
            first.kill()  # no goodbye
        again = Child("returns", listen=[f"/ip4/127.0.0.1/tcp/{first.port}"])
        try:
            assert stays.ask("mesh", peer=again.hex) and again.ask("mesh", peer=stays.hex)
            again.ask("publish", data="after", count=100)
            assert stays.ask("got", data="after", count=100) == 100
            assert again.stop() == 0
        finally:
            again.kill()


def test_a_frozen_peer_is_dropped_and_found_again() -> None:
    # Both look quickly: the frozen one finds itself disconnected when it wakes up.
    quick = {"liveness_s": 1.0, "bounds": {"PING_S": 1.0, "REDIAL_S_MAX": 1.0}}
    with nodes("watcher", "sleeper", **quick) as [watcher, sleeper]:
        link(watcher, sleeper)
        sleeper.process.send_signal(signal.SIGSTOP)
        try:
            assert watcher.ask("wait", metric="connections_frozen", least=1) >= 1
            assert watcher.ask("connected", peer=sleeper.hex, want=False)
        finally:
            sleeper.process.send_signal(signal.SIGCONT)
        assert watcher.ask("mesh", peer=sleeper.hex)
        gossips(watcher, sleeper, "awake")
        gossips(sleeper, watcher, "yes")


def test_a_frozen_peer_with_a_full_line_does_not_hold_up_the_others() -> None:
    quick = {"liveness_s": 1.0, "bounds": {"PING_S": 1.0, "REDIAL_S_MAX": 1.0}}
    with nodes("publisher", "sleeper", "reader", **quick) as [publisher, sleeper, reader]:
        link(publisher, sleeper)
        link(publisher, reader)
        sleeper.process.send_signal(signal.SIGSTOP)
        try:
            # 24 MB: more than the kernel, the muxer and the queue take for one peer.
            publisher.ask("publish", data="heavy", count=400, pad=60_000)
            assert reader.ask("got", data="heavy", count=400, pad=60_000) == 400
            assert publisher.ask("wait", metric="connections_frozen", least=1) >= 1
            assert publisher.ask("connected", peer=sleeper.hex, want=False)
            assert publisher.ask("wait_below", metric="connections", most=1) == 1
        finally:
            sleeper.process.send_signal(signal.SIGCONT)
        assert publisher.ask("mesh", peer=sleeper.hex)
        gossips(publisher, sleeper, "light")


def test_a_host_that_dies_is_started_again_at_the_same_address() -> None:
    with nodes("mortal", "friend", bounds={"REDIAL_S_MAX": 1.0}) as [mortal, friend]:
        link(friend, mortal)
        mortal.ask("crash")
        assert mortal.ask("wait", metric="restarts", least=1) == 1
        assert friend.ask("connected", peer=mortal.hex)
        assert mortal.ask("mesh", peer=friend.hex) and friend.ask("mesh", peer=mortal.hex)
        assert mortal.ask("addresses") == mortal.addresses
        told = [event for event in mortal.ask("events") if "HostRestarted" in event]
        assert len(told) == 1 and "a fault in the host" in told[0]
        assert mortal.ask("metrics")["last_fault"] == "a fault in the host"
        gossips(friend, mortal, "back again")
        gossips(mortal, friend, "so it seems")
        assert mortal.ask("talk", peer=friend.hex, protocol="/test/echo", frames=[3]) == [3]


def test_a_task_that_fails_inside_the_library_ends_nothing_else() -> None:
    with nodes("stable", "friend") as [stable, friend]:
        link(friend, stable)
        stable.ask("fail_tasks")
        assert stable.ask("wait", metric="contained", least=3) == 3
        gossips(friend, stable, "undisturbed")
        gossips(stable, friend, "indeed")
        assert stable.count("restarts") == 0


def test_a_stopping_node_says_goodbye() -> None:
    with nodes("remains") as [remains]:
        leaver = Child("leaver", liveness_s=600.0)
        try:
            leaver.ask("dial", peer=remains.hex, addresses=remains.addresses)
            assert remains.ask("connected", peer=leaver.hex)
            assert leaver.stop() == 0
            assert remains.ask("connected", peer=leaver.hex, want=False, seconds=5.0)
        finally:
            leaver.kill()


def test_messages_cross_a_node_that_relays_and_arrive_once() -> None:
    with nodes("left", "middle", "right") as [left, middle, right]:
        link(left, middle)
        link(right, middle)
        left.ask("publish", data="across", count=200)
        assert right.ask("got", data="across", count=200) == 200
        right.ask("publish", data="and back", count=200)
        assert left.ask("got", data="and back", count=200) == 200
        assert left.count("connections") == right.count("connections") == 1


def test_a_refused_message_is_not_relayed() -> None:
    with nodes("author", "judge", "reader") as [author, judge, reader]:
        link(author, judge)
        link(reader, judge)
        judge.ask("rules", refuse="bad")
        author.ask("publish", data="bad news")
        author.ask("publish", data="good news")
        assert reader.ask("got", data="good news") == 1
        assert reader.ask("got", data="bad news", seconds=0.0) == 0
        assert judge.count("gossip_rejected") == 1


def test_frames_of_every_size_and_a_long_push_arrive() -> None:
    with nodes("talker", "hearer") as [talker, hearer]:
        link(talker, hearer)
        sizes = [0, 1, 65_535, 65_536, 262_144]
        assert talker.ask("talk", peer=hearer.hex, protocol="/test/echo", frames=sizes) == sizes
        talker.ask("push", peer=hearer.hex, protocol="/test/swallow", count=80, length=262_144)
        total = 80 * 262_148
        got = hearer.ask("wait", metric="bytes_in/test/swallow", least=total)
        assert got == total == talker.count("bytes_out/test/swallow")
        with pytest.raises(Refused) as refused:
            talker.ask("talk", peer=hearer.hex, protocol="/test/echo", frames=[262_145])
        assert refused.value.code == "message_too_large"
        with pytest.raises(Refused) as refused:
            talker.ask("talk", peer=hearer.hex, protocol="/test/unknown", frames=[1])
        assert refused.value.code == "stream_broken"
        with pytest.raises(Refused) as refused:
            talker.ask("talk", peer="ab" * 32, protocol="/test/echo", frames=[1])
        assert refused.value.code == "not_connected"


def test_who_answers_at_an_address_must_be_who_was_dialled() -> None:
    with nodes("dialler", "impostor") as [dialler, impostor]:
        somebody = "cd" * 32
        with pytest.raises(Refused) as refused:
            dialler.ask("connect", peer=somebody, addresses=[f"/ip4/127.0.0.1/tcp/{impostor.port}"])
        assert refused.value.code == "dial_failed"
        assert not dialler.ask("connected", peer=somebody, seconds=0.0)
        # An address that names another node than the one it is given for is not even dialled.
        dials = dialler.count("dials")
        dialler.ask("dial", peer=somebody, addresses=impostor.addresses)
        assert dialler.ask("wait", metric="addresses_unusable", least=1) == 1
        assert dialler.count("dials") == dials


def test_strangers_may_only_ask_to_join_and_not_for_long() -> None:
    home = Child("home", admit="listed", admitted=[], bounds={"STRANGER_S": 3.0})
    try:
        with nodes("newcomer") as [newcomer]:
            newcomer.ask("connect", peer=home.hex, addresses=home.addresses)
            assert newcomer.ask("talk", peer=home.hex, protocol="/test/join", frames=[9]) == [9]
            with pytest.raises(Refused):
                newcomer.ask("talk", peer=home.hex, protocol="/test/echo", frames=[9])
            # The newcomer counts the home in; the home takes nothing of its gossip.
            newcomer.ask("publish", data="spam")
            assert home.ask("wait", metric="strangers_seen_out", least=1) == 1
            assert newcomer.ask("connected", peer=home.hex, want=False)
            assert home.ask("got", data="spam", seconds=0.0) == 0
            assert home.count("mesh") == home.count("subscribed") == 0
            assert home.ask("peers") == [] and home.ask("events") == []
        assert home.stop() == 0
    finally:
        home.kill()


def test_a_stranger_that_is_admitted_while_connected_takes_part_at_once() -> None:
    home = Child("home", admit="listed", admitted=[])
    try:
        with nodes("newcomer") as [newcomer]:
            newcomer.ask("dial", peer=home.hex, addresses=home.addresses)
            assert home.ask("wait", metric="strangers", least=1) == 1
            home.ask("admit", peers=[newcomer.hex])
            assert home.ask("connected", peer=newcomer.hex)
            assert home.ask("mesh", peer=newcomer.hex) and newcomer.ask("mesh", peer=home.hex)
            gossips(newcomer, home, "let in")
            gossips(home, newcomer, "welcome")
            assert home.count("strangers") == 0
            home.ask("admit", peers=[], only=True)
            assert newcomer.ask("connected", peer=home.hex, want=False)
        assert home.stop() == 0
    finally:
        home.kill()


async def test_only_so_many_strangers_are_let_in_and_members_always() -> None:
    home = Child("home", admit="listed", admitted=[], bounds={"STRANGERS_MAX": 2})
    try:
        async with (
            attacker(home, "stranger 1", "127.1.0.1"),
            attacker(home, "stranger 2", "127.1.0.2"),
        ):
            await home.aask("wait", metric="strangers", least=2)
            with pytest.raises(BaseException):  # noqa: B017, PT011  # refused in one way or another
                async with attacker(home, "stranger 3", "127.1.0.3") as third:
                    if await third.gone():
                        raise ConnectionError
            assert home.count("refused_strangers") >= 1
            assert home.count("strangers") == 2
            member = Child("member")
            try:
                await home.aask("admit", peers=[member.hex])
                await member.aask("dial", peer=home.hex, addresses=home.addresses)
                assert await home.aask("connected", peer=member.hex)
                assert member.stop() == 0
            finally:
                member.kill()
        assert home.stop() == 0
    finally:
        home.kill()


def test_a_blocked_peer_is_let_in_again_after_its_time() -> None:
    brief = {"BLOCK_S": 2.0, "REDIAL_S_MAX": 0.5}
    with nodes("strict", "sinner", bounds=brief) as [strict, sinner]:
        link(sinner, strict)
        strict.ask("penalise", peer=sinner.hex, points=150.0)
        assert strict.ask("connected", peer=sinner.hex, want=False)
        assert strict.ask("wait", metric="refused_blocked", least=1) >= 1
        assert strict.ask("connected", peer=sinner.hex)
        assert 0.0 < strict.ask("score", peer=sinner.hex) < 100.0


def test_a_peer_that_moved_is_found_by_asking_another() -> None:
    # The mover's profile still has the old address; the witness is connected with it at the new.
    quick = {"bounds": {"REDIAL_S_MAX": 0.5}}
    with nodes("seeker", "witness", "mover", **quick) as [seeker, witness, mover]:
        witness.ask("dial", peer=mover.hex, addresses=mover.addresses)
        assert witness.ask("connected", peer=mover.hex)
        link(seeker, witness)
        seeker.ask("dial", peer=mover.hex, addresses=["/ip4/127.0.0.1/tcp/9"])
        assert seeker.ask("mesh", peer=mover.hex)
        assert seeker.count("bytes_in/maillon/1/peers") > 0


def test_addresses_name_real_interfaces_and_the_peer() -> None:
    with nodes("wide", listen=["/ip4/0.0.0.0/tcp/0"]) as [wide]:
        assert wide.addresses
        for address in wide.addresses:
            assert "/0.0.0.0/" not in address
            assert address.endswith(f"/p2p/{peer_id(wide.key)}")


@pytest.mark.skipif(not local_hosts(), reason="the machine has no network interface but loopback")
def test_nodes_of_one_local_network_find_each_other_and_nobody_else() -> None:
    everywhere = {"listen": ["/ip4/0.0.0.0/tcp/0"], "mdns": True}
    with ExitStack() as stack:
        keys = [SigningKey.from_seed(n.encode().ljust(32, b".")).public.hex() for n in ("m1", "m2")]
        one = Child("m1", admit="listed", admitted=keys, **everywhere)
        stack.callback(one.kill)
        other = Child("m2", admit="listed", admitted=keys, **everywhere)
        stack.callback(other.kill)
        alone = Child("outsider", admit="listed", admitted=[], **everywhere)
        stack.callback(alone.kill)
        assert one.ask("connected", peer=other.hex, seconds=30.0)
        assert other.ask("connected", peer=one.hex)
        gossips(one, other, "neighbour")
        assert alone.count("dials") == 0
        assert [peer["key"] for peer in one.ask("peers")] == [other.hex]
        for child in (one, other, alone):
            assert child.stop() == 0
