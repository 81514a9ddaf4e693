"""The pages in a real Chromium, on a real node: legible, reachable by keyboard, and signing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from support.chromium import (
    chromium,
    faults,
    missing,
    overflow,
    sign_in,
    small_targets,
    violations,
    visitor,
)
from support.pages import PagesNode, pages_node

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesNode]:
    with pages_node(tmp_path_factory.mktemp("n")) as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


OPEN = ("/", "/search", "/search?q=guitare&km=20", "/search?q=zzzz", "/sign-in", "/claim", "/kit",
        "/nope", "/kit/fault")  # fmt: skip
OWN = ("/", "/devices", "/carnet", "/carnet?month=2001-01", "/carnet/print")


def pages(node: PagesNode) -> list[tuple[str, bool]]:
    record = f"/offers/{node.ids['Aide aux démarches en ligne']}"
    demand = f"/demands/{node.ids['Trajet vers un rendez-vous médical']}"
    coop = f"/coops/{node.operator.get('/v1/status').json()['coop']}"
    return [(path, False) for path in (*OPEN, record, demand, coop)] + [(p, True) for p in OWN]


@pytest.mark.parametrize("theme", ["light", "dark", "contrast"])
@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_passes_axe_reflows_and_has_targets_for_fingers(
    node: PagesNode, browser: Browser, theme: str, width: int
) -> None:
    wrong: list[str] = []
    with (
        visitor(browser, node.url, width=width, theme=theme) as stranger,
        visitor(browser, node.url, width=width, theme=theme) as ana,
    ):
        sign_in(ana, node.code("Ana Exemple"))
        for path, own in pages(node):
            page = ana if own else stranger
            page.goto(path)
            wrong += [f"{path}: {fault}" for fault in violations(page)]
            wrong += [f"{path}: too small {html}" for html in small_targets(page)]
            if overflow(page) > 0:
                wrong.append(f"{path}: {overflow(page)} px too wide")
        # Answers of 404 and 500 are named there; nothing else may be.
        said = [text for text in faults(stranger) + faults(ana) if "status of" not in text]
        wrong += said
    assert wrong == []


def test_text_at_twice_its_size_stays_within_the_window(node: PagesNode, browser: Browser) -> None:
    with visitor(browser, node.url, width=1280) as page:
        for path, own in pages(node):
            if own:
                continue
            page.goto(path)
            page.evaluate("document.documentElement.style.fontSize = '200%'")
            assert overflow(page) <= 0, path


def test_the_first_thing_that_tab_reaches_leads_to_the_content(
    node: PagesNode, browser: Browser
) -> None:
    with visitor(browser, node.url) as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "q"


def test_whatever_has_the_focus_shows_it(node: PagesNode, browser: Browser) -> None:
    with visitor(browser, node.url) as page:
        for path in ("/", "/kit", "/search?km=20"):
            page.goto(path)
            seen: set[str] = set()
            for _press in range(60):
                page.keyboard.press("Tab")
                told: Any = page.evaluate(
                    """() => {
                      const e = document.activeElement;
                      if (e === document.body) return null;
                      const shown = e.closest('.option, .entry') ?? e;
                      const width = (x) => {
                        const s = getComputedStyle(x);
                        return s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth);
                      };
                      return [e.outerHTML.slice(0, 80), Math.max(width(e), width(shown))];
                    }"""
                )
                if told is None:
                    break
                assert told[1] >= 3, told[0]
                seen.add(told[0])
            assert len(seen) > 5, path


def test_a_fault_of_a_form_is_read_out_and_leads_to_its_field(
    node: PagesNode, browser: Browser
) -> None:
    with visitor(browser, node.url, language="en") as page:
        page.goto("/kit")
        page.fill("#f-title", "")
        page.click("button:has-text('Send')")
        assert page.evaluate("document.activeElement.id") == "faults"
        page.click("#faults a[href='#f-title']")
        assert page.evaluate("document.activeElement.id") == "f-title"
        field = page.get_by_role("textbox", name="Title")
        described = page.evaluate(
            "e => e.getAttribute('aria-describedby').split(' ')"
            ".map(id => document.getElementById(id).textContent.trim()).join(' ')",
            field.element_handle(),
        )
        assert described == "In a few words. Write something here."


# --- without JavaScript -------------------------------------------------------------------------


def test_searching_and_signing_in_need_no_script(node: PagesNode, browser: Browser) -> None:
    with visitor(browser, node.url, script=False) as page:
        page.goto("/")
        page.fill("#q", "guitare")
        page.press("#q", "Enter")
        assert page.locator(".entry").count() == 1
        sign_in(page, node.code("Ana Exemple"))
        page.goto("/carnet")
        assert page.locator(".balance").inner_text() == "−1\u00a0h\u00a015"
        page.click("text=Me déconnecter")
        page.goto("/carnet")
        assert "/sign-in" in page.url


def test_a_filter_changes_the_list_in_place(node: PagesNode, browser: Browser) -> None:
    with visitor(browser, node.url) as page:
        page.goto("/search")
        page.click("summary:has-text('Filtres')")
        page.evaluate("window.stayed = true")
        with page.expect_response(lambda answer: "/search?" in answer.url):
            page.check("input[name=mode][value=itinerant]")
        page.wait_for_function("document.querySelectorAll('.entry').length === 1")
        assert page.evaluate("window.stayed") is True and "mode=itinerant" in page.url
        assert faults(page) == []


# --- keys of this device ------------------------------------------------------------------------


def claim(page: Page, code: str) -> None:
    page.goto("/claim")
    page.fill("#f-code", code.lower().replace("-", " "))
    page.click("#claim button")
    page.wait_for_selector("#claimed:not([hidden])")


def module(node: PagesNode, name: str) -> str:
    page = node.http.get("/").text
    start = page.index("/static/")
    return page[start : page.index("/", start + 8)] + f"/js/{name}.js"


def test_a_person_makes_a_key_with_their_sheet_and_signs_in_with_it(
    node: PagesNode, browser: Browser
) -> None:
    person = node.one.cli("member", "add", "Dorine Exemple")
    node.people["Dorine Exemple"] = person
    with visitor(browser, node.url) as page:
        page.goto("/claim")
        page.fill("#f-code", "AAAAA-AAAAA-AAAAA-AAAAA")
        page.click("#claim button")
        assert "erreur dans le code" in page.locator("[data-fault]").inner_text()
        claim(page, node.claim_code("Dorine Exemple"))
        page.click("#claimed a")
        page.wait_for_url("**/devices")
        assert page.locator("h3:has-text('Un appareil à vous')").count() == 1
        # The key cannot be taken out of the browser, by us or by anybody's script.
        taken = page.evaluate(
            """async path => {
              const { own } = await import(path);
              const keys = await own();
              try {
                await crypto.subtle.exportKey('pkcs8', keys.signing);
                return 'taken';
              } catch (fault) {
                return `${keys.kind} ${keys.signing.extractable} ${fault.name}`;
              }
            }""",
            module(node, "keys"),
        )
        assert taken == "webcrypto false InvalidAccessError"
        page.click("text=Me déconnecter")
        page.wait_for_url("**/")
        page.goto("/sign-in?next=/carnet")
        page.click("[data-do=sign-in]")
        page.wait_for_url("**/carnet")
        assert faults(page) == []


def test_the_fallback_without_webcrypto_signs_the_same(node: PagesNode, browser: Browser) -> None:
    node.people["Émile Exemple"] = node.one.cli("member", "add", "Émile Exemple")
    with visitor(browser, node.url) as page:
        page.add_init_script(
            "crypto.subtle.generateKey = () => Promise.reject(new Error('no such algorithm'))"
        )
        claim(page, node.claim_code("Émile Exemple"))
        page.click("#claimed a")
        page.wait_for_url("**/devices")
        assert page.locator("h3:has-text('Un appareil à vous')").count() == 1
        public = page.evaluate(
            """async ([x, b]) => {
              const { publicOf } = await import(x);
              const { hex, unhex } = await import(b);
              return hex(publicOf(unhex('09' + '00'.repeat(31))));
            }""",
            [module(node, "x25519"), module(node, "bytes")],
        )
        # RFC 7748, section 5.2, the first iteration: k = u = 9.
        assert public == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"


LIES: list[tuple[str, dict[str, Any]]] = [
    ("title", {"payload": {"title": "Vol de vélo"}}),
    ("reciprocity", {"payload": {"reciprocity": {"kind": "amount", "unit": "heure", "amount": 6}}}),
    ("text", {"payload": {"text": None}}),
    ("kind", {"kind": "demand"}),
    ("by", {"keys": True}),
    ("until", {"days": 5}),
    ("as", {"mandate": "11" * 32}),
    ("refs", {"refs": ["22" * 32]}),
]


def test_this_device_signs_what_was_said_and_nothing_else(
    node: PagesNode, browser: Browser
) -> None:
    node.people["Fanny Exemple"] = node.one.cli("member", "add", "Fanny Exemple")
    request = {
        "kind": "offer",
        "days": 30,
        "payload": {
            "title": "Cours d'e\u0301checs",
            "text": "Pour débuter.",
            "lang": "fr",
            "categories": ["jeux"],
            "mode": ["at_home", "remote"],
            "reciprocity": {"kind": "amount", "unit": "heure", "amount": 60},
            "when": {"hours": {"mo": [[540, 720]]}},
        },
    }
    with visitor(browser, node.url) as page:
        claim(page, node.claim_code("Fanny Exemple"))
        page.click("#claimed a")
        page.wait_for_url("**/devices")
        made = page.evaluate(
            "async ([path, asked]) => (await import(path)).publish(asked, 'once-1')",
            [module(node, "signing"), request],
        )
        shown = node.http.get(f"/v1/records/{made['id']}").json()
        assert shown["payload"]["title"] == "Cours d'échecs" and shown["kind"] == "offer"
        # The same by a form of a page, with all that could break its attribute.
        page.goto("/kit")
        page.click("form[data-sign] button")
        page.wait_for_url("**/offers/*")
        assert page.locator("h1").inner_text() == 'L\'heure "calme" <pour tous>'
        page.goto("/devices")
        for field, lie in LIES:
            asked: dict[str, Any] = {**request, **lie, "payload": {
                k: v for k, v in {**request["payload"], **lie.get("payload", {})}.items()  # type: ignore[dict-item]
                if v is not None
            }}  # fmt: skip
            refused = page.evaluate(
                """async ([signing, keys, asking, honest, asked]) => {
                  const { signedRecord } = await import(signing);
                  const { own, made } = await import(keys);
                  const { post } = await import(asking);
                  const { hex } = await import(signing.replace('signing', 'bytes'));
                  const mine = await own();
                  // The coop drafts something else than this page asked for.
                  const draft = await post('/v1/drafts', { ...honest, key: hex(mine.key) });
                  const other = asked.keys ? await made() : mine;
                  try {
                    await signedRecord(draft, asked, other);
                    return 'signed';
                  } catch (fault) {
                    return fault.field ?? String(fault);
                  }
                }""",
                [module(node, n) for n in ("signing", "keys", "asking")] + [request, asked],
            )
            assert refused == field, (field, refused)


def test_a_page_of_another_site_neither_frames_nor_sends_forms(
    node: PagesNode, browser: Browser, tmp_path: Path
) -> None:
    with visitor(browser, node.url) as page:
        sign_in(page, node.code("Ana Exemple"))
        evil = tmp_path / "evil.html"
        evil.write_text(
            f'<iframe src="{node.url}/carnet" name="f"></iframe>'
            f'<form method="post" action="{node.url}/sign-out"><button>Win</button></form>'
        )
        page.goto(evil.as_uri())
        framed = page.frame("f")
        assert framed is None or "−1" not in framed.content()
        with page.expect_response(lambda answer: answer.url.endswith("/sign-out")) as got:
            page.click("button")
        assert got.value.status == 403
        page.goto(node.url + "/carnet")
        assert page.locator(".balance").count() == 1


def test_a_hostile_record_runs_nothing_and_stays_within_the_window(
    node: PagesNode, browser: Browser
) -> None:
    hostile = "<img src=x onerror=window.broken=1><script>window.broken=1</script>"
    id = node.publish("offer", {
        "title": hostile + "W" * 120, "text": (hostile + "\u202e") * 20 + "Z" * 2_000, "lang": "fr",
        "categories": ["x"], "mode": ["remote"], "reciprocity": {"kind": "free"},
        "access": {"cost": hostile},
    })  # fmt: skip
    try:
        for width in (320, 1280):
            with visitor(browser, node.url, width=width) as page:
                for path in ("/", "/search?order=newest", f"/offers/{id}"):
                    page.goto(path)
                    assert page.evaluate("window.broken") is None
                    assert overflow(page) <= 0, path
                    assert faults(page) == []
    finally:
        node.operator.post(f"/v1/records/{id}/withdraw", json={})
