"""What a browser without JavaScript meets: pages, forms, refusals, and what attackers try."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from support.pages import PagesNode, pages_node, record

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202egnp.exe {{ 7*7 }}"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesNode]:
    with pages_node(tmp_path_factory.mktemp("n")) as one:
        yield one


class Visitor:
    """A browser's memory and nothing else: cookies, whatever they say about TLS."""

    def __init__(self, node: PagesNode, language: str = "en") -> None:
        self.node = node
        self.cookies: dict[str, str] = {}
        self.headers = {"Accept-Language": language}

    def _asked(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        answer = self.node.http.request(method, path, headers=headers, **more)
        # Each visitor has a memory of their own.
        self.node.http.cookies.clear()
        for text in answer.headers.get_list("set-cookie"):
            name, _equals, rest = text.partition("=")
            value = rest.partition(";")[0].strip('"')
            if "Max-Age=0" in text:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self._asked("GET", path, **more)

    def post(self, path: str, fields: dict[str, Any], **more: Any) -> httpx.Response:
        return self._asked("POST", path, data=fields, **more)

    def hidden(self, path: str) -> dict[str, str]:
        """Return csrf and once of the last form of a page."""
        page = self.get(path).text
        found = re.findall(r'type="hidden" name="(csrf|once)" value="([0-9a-f]+)"', page)
        assert found, page[:2000]
        return dict(found)

    def sign_in(self, name: str, *scopes: str) -> Visitor:
        fields = {**self.hidden("/sign-in"), "code": self.node.code(name, *scopes)}
        answer = self.post("/sign-in", fields)
        assert answer.status_code == 303, answer.text
        return self


@pytest.fixture
def visitor(node: PagesNode) -> Visitor:
    return Visitor(node)


@pytest.fixture
def ana(node: PagesNode) -> Visitor:
    return Visitor(node).sign_in("Ana Exemple")


# --- every page ---------------------------------------------------------------------------------

OPEN = (
    "/",
    "/search",
    "/search?q=guitare&km=20&mode=at_home",
    "/sign-in",
    "/claim",
    "/kit",
    "/nope",
)
OWN = ("/devices", "/carnet", "/carnet/print")


def test_every_page_lets_nothing_foreign_run_and_frames_itself_nowhere(ana: Visitor) -> None:
    for path in (*OPEN, *OWN):
        answer = (ana if path in OWN else Visitor(ana.node)).get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy, path
        assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
        assert "unsafe" not in policy and answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-language"] == "en" and '<html lang="en"' in answer.text


def test_every_link_of_every_page_leads_somewhere(ana: Visitor) -> None:
    seen: set[str] = set()
    for path in (*OPEN, *OWN):
        for found in re.findall(r'(?:href|src|action)="([^"]*)"', ana.get(path).text):
            target = unescape(found).partition("#")[0]
            if target.startswith(("tel:", "mailto:")) or not target or "?lang=" in target:
                continue
            assert target.startswith("/"), (path, target)
            if not re.search("0{64}|1{64}", target):  # samples of the kit
                seen.add(target)
    wrong = {t: s for t in seen if (s := ana.get(t).status_code) not in (200, 303, 405)}
    assert wrong == {}
    assert any(t.startswith("/static/") for t in seen) and any("/offers/" in t for t in seen)


def test_pages_are_not_on_the_socket_of_the_operator(node: PagesNode) -> None:
    answer = node.operator.get("/search")
    assert answer.status_code == 404 and answer.json()["code"] == "not_found"


def test_the_interface_stays_as_it_is_beside_the_pages(node: PagesNode) -> None:
    answer = node.http.get("/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "default-src 'none'; frame-ancestors" in answer.headers["content-security-policy"]


def test_head_is_answered_as_get_without_a_body(visitor: Visitor) -> None:
    answer = visitor._asked("HEAD", "/search")  # pyright: ignore[reportPrivateUsage]
    assert answer.status_code == 200 and answer.content == b""


# --- language and theme -------------------------------------------------------------------------


def test_the_language_is_what_was_chosen_else_what_the_browser_asks_for(node: PagesNode) -> None:
    french = Visitor(node, "fr-CA,fr;q=0.9")
    assert "Quelqu'un à qui parler" in french.get("/").text
    chosen = french.get("/search?q=velo&lang=en")
    assert chosen.status_code == 303 and chosen.headers["location"] == "/search?q=velo"
    assert "Somebody to talk to" in french.get("/").text


def test_a_theme_that_does_not_exist_changes_nothing(visitor: Visitor) -> None:
    assert 'data-theme="auto"' in visitor.get("/?theme=pink").text
    assert visitor.get("/?theme=dark").status_code == 303
    assert 'data-theme="dark"' in visitor.get("/").text


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nope", 404, "There is nothing here"),
        ("/offers/zz", 404, "There is nothing here"),
        ("/offers/" + "0" * 64, 404, "There is nothing here"),
        ("/coops/" + "0" * 64, 404, "There is nothing here"),
        ("/static/x/y.css", 404, "There is nothing here"),
        ("/kit/fault", 500, "Something broke here"),
    ],
)
def test_an_error_is_a_page_that_says_what_to_do(
    visitor: Visitor, path: str, status: int, words: str
) -> None:
    answer = visitor.get(path)
    assert answer.status_code == status and words in answer.text and "/search" in answer.text
    assert "Traceback" not in answer.text and "RuntimeError" not in answer.text
    assert "script-src 'self';" in answer.headers["content-security-policy"]


def test_a_page_of_ones_own_asks_to_sign_in_first_and_comes_back(visitor: Visitor) -> None:
    answer = visitor.get("/carnet?month=2026-11")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Fcarnet%3Fmonth%3D2026-11"
    assert 'value="/carnet?month=2026-11"' in visitor.get(answer.headers["location"]).text


def test_who_may_not_see_a_page_is_told_so(node: PagesNode) -> None:
    answer = Visitor(node).sign_in("Ana Exemple", "publish").get("/carnet")
    assert answer.status_code == 403 and "This is not open to you" in answer.text


def test_another_host_or_origin_gets_no_page(visitor: Visitor) -> None:
    assert visitor.get("/", headers={"Host": "evil.example"}).status_code == 421
    fields = {**visitor.hidden("/kit"), "title": "x"}
    answer = visitor.post("/kit", fields, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403 and "Another site tried" in answer.text
    assert visitor.post("/kit", fields, headers={"Origin": "null"}).status_code == 403


HOSTILE_QUERIES = [
    "when=9999-99-99", "when=0001-01-01", "when=2026-11-30%00", "cursor=garbage", "q=%ff",
    "km=abc&order=nearest", "category=%3Cscript%3E", "language=x", "coop=" + "0" * 64,
    "mode=evil&access=evil", "q=" + "a" * 900, "&".join(["mode=at_home"] * 200),
    "kind=coop_profile",
    "q=%22%20OR%201%3D1%20--", "lang=xx", "theme=%0d%0aSet-Cookie:x", "when=" + "9" * 300,
]  # fmt: skip


@pytest.mark.parametrize("asked", HOSTILE_QUERIES)
def test_whatever_is_asked_of_the_search_is_answered_in_words(visitor: Visitor, asked: str) -> None:
    answer = visitor.get(f"/search?{asked}")
    assert answer.status_code == 200 and "<h1" in answer.text


# --- forms --------------------------------------------------------------------------------------


def test_a_form_is_answered_by_a_redirection_that_says_once_what_was_done(ana: Visitor) -> None:
    answer = ana.post("/kit", {**ana.hidden("/kit"), "title": HOSTILE})
    assert answer.status_code == 303 and answer.headers["location"] == "/kit"
    page = ana.get("/kit").text
    assert "Your offer “&lt;script&gt;" in page and "<script>alert" not in page
    assert "Your offer “" not in ana.get("/kit").text


def test_a_form_with_a_fault_keeps_what_was_typed(visitor: Visitor) -> None:
    answer = visitor.post("/kit", {**visitor.hidden("/kit"), "title": "", "text": "my <words>"})
    assert answer.status_code == 422
    assert 'href="#f-title"' in answer.text and "my &lt;words&gt;" in answer.text
    assert (
        'aria-invalid="true"' in answer.text and 'aria-describedby="h-title e-title"' in answer.text
    )


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_form_without_its_token_changes_nothing(node: PagesNode, signed_in: bool) -> None:
    one, other = Visitor(node), Visitor(node)
    if signed_in:
        one.sign_in("Ana Exemple")
        other.sign_in("Bruno Exemple")
    good, theirs = one.hidden("/kit"), other.hidden("/kit")
    for fields in ({}, {"csrf": ""}, {"csrf": "0" * 64}, {"csrf": theirs["csrf"]}, {"csrf": "é"}):
        answer = one.post("/kit", {**fields, "title": "x"})
        assert answer.status_code == 403 and "open for too long" in answer.text, fields
        assert "location" not in answer.headers
    twice = one.post("/kit", {"csrf": [good["csrf"], theirs["csrf"]], "title": "x"})
    assert twice.status_code == 403
    assert one.post("/kit", {**good, "title": "x"}).status_code == 303


def test_a_body_that_is_no_form_does_nothing(ana: Visitor) -> None:
    for kind in ("text/plain", "application/json"):
        answer = ana._asked(  # pyright: ignore[reportPrivateUsage]
            "POST", "/sign-out", content=b"x", headers={"Content-Type": kind}
        )
        assert answer.status_code == 403
    assert ana.get("/devices").status_code == 200
    stranger = Visitor(ana.node)
    answer = stranger._asked(  # pyright: ignore[reportPrivateUsage]
        "POST", "/kit", content=b"title=x", headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 400 and "location" not in answer.headers


def test_a_form_sent_twice_is_done_once(ana: Visitor) -> None:
    fields = {**ana.hidden("/kit"), "title": "Once"}
    first, again = ana.post("/kit", fields), ana.post("/kit", fields)
    assert first.status_code == again.status_code == 303
    assert again.headers["idempotency-replayed"] == "true"
    changed = ana.post("/kit", {**fields, "title": "Other words"})
    assert changed.status_code == 422 and "This form was sent already" in changed.text


def test_a_form_that_is_too_long_is_refused_in_words(visitor: Visitor) -> None:
    answer = visitor.post("/kit", {**visitor.hidden("/kit"), "title": "x" * 70_000})
    assert answer.status_code == 413 and "This is too long" in answer.text


def test_a_sentence_that_the_page_before_did_not_say_is_not_shown(visitor: Visitor) -> None:
    visitor.cookies["__Host-maillon-said"] = "WyJkb25lIiwgImV2aWwiXQ==." + "0" * 64
    assert "evil" not in visitor.get("/").text


# --- signing in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil", "https://evil.example/", "/v1/x"])
def test_signing_in_leads_nowhere_else(node: PagesNode, target: str) -> None:
    visitor = Visitor(node)
    fields = {**visitor.hidden("/sign-in"), "code": node.code("Ana Exemple"), "next": target}
    assert visitor.post("/sign-in", fields).headers["location"] == "/"
    assert visitor.get("/sign-in", params={"next": target}).headers["location"] == "/"


def test_a_session_is_new_each_time_and_ends_with_signing_out(node: PagesNode) -> None:
    visitor = Visitor(node)
    visitor.cookies["__Host-maillon"] = "A" * 43
    visitor.sign_in("Ana Exemple")
    first = visitor.cookies["__Host-maillon"]
    assert first != "A" * 43 and "Ana Exemple" in visitor.get("/").text
    assert visitor.post("/sign-out", visitor.hidden("/")).status_code == 303
    assert "__Host-maillon" not in visitor.cookies
    visitor.cookies["__Host-maillon"] = first
    assert visitor.get("/carnet").status_code == 303


# --- words of others ----------------------------------------------------------------------------


def test_what_a_record_says_is_text(node: PagesNode, visitor: Visitor) -> None:
    told = HOSTILE[:100]
    contact = {"name": told, "place": HOSTILE, "hours": HOSTILE, "url": "https://a.example/?x:y"}
    payload = record(
        told,
        HOSTILE + "\n" + "W" * 3_000,
        "evil",
        place={"cell": "871f93759ffffff", "city": told},
        access={"cost": told, "x": told},
        contact=contact,
        when={"text": HOSTILE, "hours": {"mo": [[0, 1440]]}},
    )
    id = node.publish("offer", payload)
    for path in (f"/offers/{id}", "/search?q=alert", "/search?order=newest", "/"):
        page = visitor.get(path).text
        assert "&lt;script&gt;alert(1)" in page, path
        assert "<script>alert" not in page and "<img src=x" not in page and "\u202e" not in page
        assert "49" not in re.findall(r"exe (\S+)", page)
    node.operator.post(f"/v1/records/{id}/withdraw", json={})
    assert visitor.get(f"/offers/{id}").status_code in (200, 410)


def test_an_offer_under_the_address_of_a_demand_is_found(node: PagesNode, visitor: Visitor) -> None:
    id = node.ids["Cours de guitare pour débuter"]
    assert visitor.get(f"/demands/{id}").headers["location"] == f"/offers/{id}"
    assert "Cours de guitare" in visitor.get(f"/offers/{id[:10]}").text


def test_no_filter_has_to_be_filled_in(visitor: Visitor) -> None:
    form = visitor.get("/search").text.partition('<form id="search"')[2].partition("</form>")[0]
    assert "<select" in form and " required" not in form


def test_the_reason_of_a_rank_is_said(visitor: Visitor) -> None:
    page = visitor.get("/search?q=guitare").text
    assert "Why it is here:" in page and "guitare" in page and "1 result<" in page


def test_a_carnet_says_balance_range_and_what_moved_it(ana: Visitor) -> None:
    page = ana.get("/carnet").text
    assert "−1\u00a0h\u00a015" in page and "−20\u00a0h" in page and "Taille des rosiers" in page
    assert "−2\u00a0h" in page and "+1\u00a0h\u00a030" in page
    sheet = ana.get("/carnet/print").text
    assert sheet.index("Taille des rosiers") < sheet.index("Trajet au marché")


def test_another_device_is_signed_out_and_nobody_elses(node: PagesNode, ana: Visitor) -> None:
    phone, bruno = Visitor(node).sign_in("Ana Exemple"), Visitor(node).sign_in("Bruno Exemple")
    page = ana.get("/devices").text
    (path, *_rest) = re.findall(r'action="(/devices/sessions/[0-9a-f]{16}/end)"', page)
    assert bruno.post(path, bruno.hidden("/devices")).status_code == 404
    for target in re.findall(r'action="(/devices/sessions/[0-9a-f]{16}/end)"', page):
        answer = ana.post(target, ana.hidden("/devices"))
        assert answer.status_code == 303
    assert "That device is signed out." in ana.get("/devices").text
    assert phone.get("/devices").status_code == 303 and bruno.get("/devices").status_code == 200


# Last: it leaves this address locked out for a while.


def test_every_wrong_code_is_told_alike_and_guessing_is_held_up(node: PagesNode) -> None:
    visitor = Visitor(node)
    fields = visitor.hidden("/sign-in")
    said: set[str] = set()
    for attempt in range(60):
        answer = visitor.post("/sign-in", {**fields, "code": f"mln_{attempt:043d}"})
        if answer.status_code == 429:
            break
        assert answer.status_code == 422
        said |= set(re.findall(r'<p class="fault" id="e-code">.*?<span>(.*?)</span>', answer.text))
    else:
        raise AssertionError("nobody was held up")
    assert said == {"This code does not count. Ask your coop for another one."}
    assert "A little too fast" in answer.text and int(answer.headers["retry-after"]) > 0
