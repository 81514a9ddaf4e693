"""The node answers each client in the client's language; what programs read stays the same."""

from __future__ import annotations

import pytest
import trio

from maillon.node.i18n import RANGES_MAX, _, choose, language, speaking
from support.nodes import TestNode, maillon


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("fr", "fr"),
        ("fr-CA", "fr"),
        ("FR", "fr"),
        ("en-GB, fr;q=0.8", "en"),
        ("en;q=0.3, fr;q=0.8", "fr"),
        ("pt, fr;q=0.1", "fr"),
        ("fr;q=0, en;q=0.1", "en"),
        ("fr;q=zero, en", "en"),
        ("fr;q=nan", None),
        ("pt", None),
        ("*", None),
        ("", None),
        ("../fr", None),
        (";;q=,,;q=", None),
        (",".join(["pt"] * RANGES_MAX + ["fr"]), None),
    ],
)
def test_the_language_wished_for_most_among_those_there_are_is_chosen(
    header: str, chosen: str | None
) -> None:
    assert choose(header) == chosen


def test_requests_answered_at_the_same_time_do_not_mix_their_languages() -> None:
    heard: dict[str, list[str]] = {"fr": [], "en": []}

    async def answer(wanted: str) -> None:
        with speaking(wanted):
            for _turn in range(3):
                heard[wanted].append(_("The disk is full."))
                await trio.lowlevel.checkpoint()
                # What a request gives to a thread is said in its language as well.
                heard[wanted].append(await trio.to_thread.run_sync(lambda: _("The disk is full.")))

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, "fr")
            nursery.start_soon(answer, "en")

    before = language()
    trio.run(both)
    assert set(heard["en"]) == {"The disk is full."}
    assert set(heard["fr"]) == {"Le disque est plein."}
    assert language() == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/status?unheard_of=1", None),
        ("GET", "/v1/records/zz", None),
        ("GET", "/v1/records?limit=0", None),
        ("POST", "/v1/members/00112233/revoke", {"reason": "left"}),
        ("POST", "/v1/accounts/nobody/limit", {"limit": "1"}),
    ],
)
def test_an_error_comes_in_the_language_asked_for_with_the_same_code(
    node: TestNode, method: str, path: str, body: object
) -> None:
    told = {}
    for wanted in ("en", "fr", "fr-BE, en;q=0.5", "pt"):
        answer = node.http.request(method, path, json=body, headers={"Accept-Language": wanted})
        told[wanted] = answer.json()
        spoken = "fr" if wanted.startswith("fr") else "en"
        assert answer.headers["Content-Language"] == spoken
    assert told["en"] == told["pt"]  # the node's own, for who reads neither
    assert told["fr"] == told["fr-BE, en;q=0.5"]
    assert told["fr"]["detail"] != told["en"]["detail"]
    for fixed in ("type", "status", "code"):
        assert told["fr"][fixed] == told["en"][fixed]


def test_what_the_node_explains_is_said_in_the_language_of_who_asks(node: TestNode) -> None:
    told = {
        wanted: node.http.get("/v1/charter", headers={"Accept-Language": wanted}).json()
        for wanted in ("en", "fr")
    }
    assert told["en"]["quorum"] == told["fr"]["quorum"]
    assert any("node" in s for s in told["en"]["sentences"])
    assert any("nœud" in s for s in told["fr"]["sentences"])


def test_the_command_line_asks_in_its_own_language(node: TestNode) -> None:
    french = maillon(node.home, "charter", "show", MAILLON_LANG="fr")
    english = maillon(node.home, "charter", "show", MAILLON_LANG="en")
    other = maillon(node.home, "charter", "show", MAILLON_LANG="pt")
    assert "nœud" in french.stdout and " payment" not in french.stdout, french.stdout
    assert " payment" in english.stdout and "nœud" not in english.stdout
    assert other.stdout == english.stdout
