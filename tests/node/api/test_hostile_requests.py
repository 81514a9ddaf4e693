"""Nothing that a caller sends breaks the node: what is wrong is refused as such."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.api import ApiNode, api_node, bearer
from support.hostile import LONG, TEXTS, Asking, Hostile, Request, sample

SCOPES = ("read", "exchange", "pay", "publish", "desk", "admin")
# What may end the person who asks or their token, or has no end to its answer.
LEFT_OUT = ("/v1/auth/end", "/v1/auth/logout", "/v1/events")
# With MAILLON_EXPLORE=1 every request is asked as both, which takes minutes; else a share is drawn.
EXPLORE = bool(os.environ.get("MAILLON_EXPLORE"))
SEED = random.SystemRandom().randrange(1 << 32) if EXPLORE else 7
BODIES_SHARE = 0.1
OFFER = {
    "title": "Cours de guitare", "lang": "fr", "categories": ["musique"], "mode": ["at_home"],
    "reciprocity": {"kind": "amount", "unit": "heure", "amount": 60},
    "place": {"cell": "871f93759ffffff", "city": "Die"},
}  # fmt: skip
FALLBACK = {"name": "Accueil", "phone": "+33 4 75 00 00 00"}
TERMS = {
    "kind": "amount", "unit": "heure", "amount": 60, "fallback": FALLBACK, "minutes": 60,
    "when": [{"slot": "07" * 16, "start": 1_900_000_000, "end": 1_900_003_600}],
}  # fmt: skip


class World:
    """A node with something of everything, and who asks it."""

    def __init__(self, node: ApiNode) -> None:
        self.node = node
        self.coop = str(node.operator.get("/v1/status").json()["coop"])
        # Whose token asks is nobody's path: what ends somebody ends another.
        self.token = node.token(*SCOPES)
        self.ada, self.bo, self.eve = (self.member(name) for name in ("Ada", "Bo", "Eve"))
        self.known, self.bodies = self._made()

    def member(self, name: str) -> str:
        """Return a new person with an account."""
        person = str(self.node.member(name, "member", "provider")["person"])
        self.post("/v1/accounts", person=person)
        self.post(f"/v1/accounts/{person}/limit", limit="20h", unit="heure")
        return person

    def author(self, person: str) -> str:
        return f"70{self.coop}{person}"

    def post(self, path: str, **body: Any) -> Any:
        """Post as the operator; fail when it is refused."""
        answer = self.node.operator.post(path, json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    def _made(self) -> tuple[dict[str, str], dict[str, Any]]:
        ada, bo, coop = self.ada, self.bo, self.coop
        offer = self.post("/v1/records", kind="offer", payload=OFFER, as_member=bo)["id"]
        demand = self.post(
            "/v1/records", kind="demand", as_member=ada,
            payload={**OFFER, "urgency": "planned"},
        )["id"]  # fmt: skip
        agreed = self.post("/v1/exchanges", by=ada, about=offer)["exchange"]["id"]
        self.post(f"/v1/exchanges/{agreed}/steps", by=bo, kind="quote", fields={"terms": TERMS})
        self.post(f"/v1/exchanges/{agreed}/steps", by=ada, kind="agreement", wait_s=10)
        search = self.post("/v1/searches", query={"q": "guitare"}, person=ada)["id"]
        book = self.post("/v1/voucher-books", account=ada, unit="heure", count=2)
        group = self.post(
            "/v1/groups", name="Équipe", founder=ada,
            members=[{"author": self.author(one), "share": 1} for one in (ada, bo)],
        )  # fmt: skip
        bundle = self.post(
            "/v1/bundles", by=bo, title="Tout", categories=["aide"],
            parts=[{"provider": self.author(one), "title": "Part"} for one in (ada, bo)],
        )  # fmt: skip
        paid = self.post("/v1/transfers", **{"from": ada}, to=bo, amount="0h10", unit="heure")
        mandate = self.post("/v1/mandates", kinds=["offer"], principal=ada, delegate=bo, days=9)
        device = self.node.operator.get(f"/v1/persons/{ada}").json()
        key = str(device["devices"][0]["key"])
        known = {
            "account": ada, "person": ada, "demand": demand, "bundle": bundle["bundle"],
            "group": group["group"], "book": book["book"], "key": key, "other": offer,
            "author": self.author(bo), "sealing": "9a" * 32, "order": "9a" * 32,
            "recovery": "9a" * 32, "hash": "9a" * 32, "mandate": "9a" * 16,
            "/v1/records/{id} id": offer, "/v1/records/{id}/matches id": demand,
            "/v1/records/{id}/matches/{other} id": demand, "/v1/searches/{id} id": search,
            **dict.fromkeys(
                ("/v1/searches person", "/v1/notices person", "/v1/auctions/openings person"), ada
            ),
            "/v1/transfers/{id} id": paid["id"], "/v1/transfers/{id}/proof id": paid["id"],
            "/v1/mandates/{id}/revoke id": mandate["mandate"],
            **{
                f"/v1/exchanges/{{id}}{rest} id": agreed
                for rest in (
                    "", "/transcript", "/steps", "/drafts", "/orders/drafts", "/payment", "/delay",
                    "/handover", "/evaluation", "/evaluation/drafts", "/calendar.ics",
                )
            },
            "id": "9a" * 32,
        }  # fmt: skip
        asked = {"by": ada}
        bodies: dict[str, Any] = {
            "post /v1/exchanges": {**asked, "about": offer},
            "post /v1/exchanges/{id}/steps": {
                "by": bo, "kind": "quote", "fields": {"terms": TERMS},
            },
            "post /v1/exchanges/{id}/drafts": {
                "kind": "appointment", "key": key,
                "fields": {"slots": TERMS["when"], "cancels": ["07" * 16]},
            },
            "post /v1/exchanges/drafts": {"kind": "opening", "key": key, "open": {"about": offer}},
            "post /v1/exchanges/{id}/delay": {"by": bo, "minutes": 5, "text": "En retard"},
            "post /v1/exchanges/{id}/handover": {"by": bo, "to": self.author(self.eve)},
            "post /v1/exchanges/{id}/orders/drafts": {"what": "pay", "key": key},
            "post /v1/exchanges/{id}/payment": {**asked, "wait_s": 0},
            "post /v1/records": {"kind": "offer", "payload": OFFER, "as_member": bo},
            "post /v1/drafts": {"kind": "demand", "payload": OFFER, "key": key},
            "post /v1/matches": {"kind": "demand", "payload": OFFER, "person": ada},
            "post /v1/transfers": {"from": ada, "to": bo, "amount": 1, "unit": "heure"},
            "post /v1/searches": {"query": {"q": "guitare"}, "person": ada},
            "post /v1/tokens": {"scopes": ["read"], "label": "x", "person": ada},
            "post /v1/accounts": {"person": ada},
            "post /v1/accounts/{account}/limit": {"limit": 1_000, "unit": "heure"},
            "post /v1/groups": {
                "name": "Équipe", "founder": ada,
                "members": [{"author": self.author(one), "share": 1} for one in (ada, bo)],
            },
            "post /v1/groups/{group}/consents": {"member": self.author(bo)},
            "post /v1/groups/{group}/orders": {"to": bo, "amount": 1, "unit": "heure"},
            "post /v1/voucher-books": {"account": ada, "unit": "heure", "count": 1},
            "post /v1/vouchers/deposits": {
                "voucher": book["vouchers"][0]["qr"], "amount": 1, "payee": bo, "unit": "heure",
            },
            "post /v1/vouchers/block": {"account": ada, "numbers": [2]},
            "post /v1/persons/{person}/moves": {"to_coop": coop},
            "post /v1/charter/proposals": {
                "entries": [{"entry": "limit", "coop": coop, "unit": "heure", "limit": 1}],
            },
            "post /v1/relays": {"demand": demand},
            "post /v1/bundles": {
                **asked, "title": "Tout", "categories": ["aide"],
                "parts": [{"provider": self.author(one), "title": "P"} for one in (ada, bo)],
            },
            "post /v1/demands/{demand}/cosignatures": {"by": bo},
        }  # fmt: skip
        return known, bodies

    def hostile(self) -> Hostile:
        described = self.node.http.get("/v1/openapi.json").json()
        return Hostile(described, self.known, self.bodies)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with api_node(tmp_path_factory.mktemp("n")) as node:
        yield World(node)


@pytest.fixture(scope="module")
def hostile(world: World) -> Hostile:
    return world.hostile()


@pytest.fixture(scope="module")
def callers(world: World) -> Iterator[dict[str, Asking]]:
    port = int(world.node.url.rpartition(":")[2])
    made = {
        "operator": Asking(Path(world.node.one.home) / "api.sock", {}),
        "person": Asking(port, bearer(world.token)),
    }
    yield made
    for one in made.values():
        one.close()


def operations(hostile: Hostile) -> list[tuple[str, str]]:
    return [(method, path) for method, path in hostile.operations() if path not in LEFT_OUT]


def answers(requests: list[Request], callers: dict[str, Asking]) -> tuple[list[str], list[int]]:
    """Ask all, in turn as operator and as person; return what broke and the statuses."""
    broke: list[str] = []
    statuses: list[int] = []
    for at, request in enumerate(requests):
        names = list(callers) if EXPLORE else [list(callers)[at % len(callers)]]
        for name in names:
            status, body = callers[name].ask(request)
            statuses.append(status)
            if status >= 500:
                told = f"{name}: {request.method} {request.target[:200]} [{request.what}]"
                broke.append(f"{told} {status} {body[:200]!r}")
    return broke, statuses


def test_no_parameter_breaks_the_node(hostile: Hostile, callers: dict[str, Asking]) -> None:
    asked = [one for place in operations(hostile) for one in hostile.parameters(*place)]
    broke, statuses = answers(asked, callers)
    assert not broke, "\n".join(broke)
    # They were asked for something, and something was refused.
    assert len(asked) > 1_000 and 200 in statuses and 400 in statuses


def test_no_value_in_a_body_breaks_the_node(hostile: Hostile, callers: dict[str, Asking]) -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    asked = [one for place in operations(hostile) for one in hostile.bodies(*place)]
    asked = asked if EXPLORE else sample(asked, BODIES_SHARE, draw)
    asked += sample(
        [one for place in operations(hostile) for one in hostile.long(*place)],
        1.0 if EXPLORE else 0.1,
        draw,
    )
    broke, statuses = answers(asked, callers)
    assert not broke, f"seed {SEED}:\n" + "\n".join(broke)
    assert len(asked) > 800 and 201 in statuses and 400 in statuses


def test_what_every_request_rests_on_is_good(hostile: Hostile, callers: dict[str, Asking]) -> None:
    good = {
        place: callers["operator"].ask(hostile.good(*place))
        for place in operations(hostile)
        if place[0] == "get"
    }
    missing = {place for place, (status, _body) in good.items() if status >= 400}
    assert not missing, {place: good[place] for place in missing}


def test_a_line_that_is_too_long_ends_only_its_connection(callers: dict[str, Asking]) -> None:
    for asking in callers.values():
        status, _body = asking.ask(
            Request("GET", "/v1/agenda", "", query=(("person", b"a" * LONG),))
        )
        assert 400 <= status < 500
        assert asking.ask(Request("GET", "/v1/status", ""))[0] == 200


@pytest.mark.parametrize("what", TEXTS)
def test_no_header_breaks_the_node(world: World, what: str) -> None:
    value = TEXTS[what]
    for name in ("Idempotency-Key", "Last-Event-ID", "Authorization", "Cookie", "Accept-Language"):
        said = value.replace(b"\0", b"").replace(b"\n", b"").replace(b"\x1b", b"")
        headers: Any = {**bearer(world.token), name: said}
        answer = world.node.http.post(
            "/v1/searches", json={"query": {"q": "x"}, "person": world.ada}, headers=headers
        )
        assert answer.status_code < 500, (name, answer.text)
