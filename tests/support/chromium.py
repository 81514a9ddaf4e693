"""A real browser, the distribution's own, for tests of the pages."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

PROGRAM = Path(os.environ.get("MAILLON_CHROMIUM", "/usr/bin/chromium"))
AXE = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TARGET = 44


def missing() -> str:
    """Return what is missing for tests in a browser, empty when nothing is."""
    if not PROGRAM.exists():
        return f"there is no {PROGRAM} (apt install chromium, or MAILLON_CHROMIUM=path)"
    return "" if AXE.exists() else "axe-core is missing: run `make browser`"


@contextlib.contextmanager
def chromium() -> Generator[Browser]:
    """Give a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def visitor(
    browser: Browser,
    url: str,
    *,
    width: int = 1280,
    theme: str = "auto",
    language: str = "fr",
    script: bool = True,
    **more: Any,
) -> Generator[Page]:
    """Give a page of somebody whom the node does not know; faults of scripts are collected.

    `page.faults` are what the console and the policy of the pages complained of.
    """
    context: BrowserContext = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 800},
        locale=language,
        java_script_enabled=script,
        **more,
    )
    context.add_cookies(
        [{"name": "maillon-theme", "value": theme, "url": url},
         {"name": "maillon-lang", "value": language, "url": url}]
    )  # fmt: skip
    page = context.new_page()
    page.on("pageerror", lambda fault: faults(page).append(str(fault)))
    page.on(
        "console",
        lambda said: faults(page).append(said.text) if said.type in ("error", "warning") else None,
    )
    try:
        yield page
    finally:
        _FAULTS.pop(page, None)
        context.close()


_FAULTS: dict[Page, list[str]] = {}


def faults(page: Page) -> list[str]:
    """Return what the console of a page complained of so far."""
    return _FAULTS.setdefault(page, [])


def sign_in(page: Page, code: str) -> None:
    """Sign in with a code of the desk."""
    page.goto("/sign-in")
    page.fill("#f-code", code)
    page.click('form[action="/sign-in"] button')
    page.wait_for_url(re.compile("/$"))


def violations(page: Page) -> list[str]:
    """Return what axe finds wrong with a page, by WCAG 2.2 AA and best practice."""
    # As an extension would bring it: the policy of the page stays as it is.
    page.evaluate(AXE.read_text())
    found: Any = page.evaluate(
        "standards => axe.run({runOnly: standards, resultTypes: ['violations']})", STANDARDS
    )
    return [
        f"{fault['id']}: {' | '.join(str(node['target']) for node in fault['nodes'][:5])}"
        for fault in found["violations"]
    ]


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def small_targets(page: Page) -> list[str]:
    """Return what can be pressed and is less than 44 pixels high; links within a text may be."""
    found: Any = page.evaluate(
        """least => [...document.querySelectorAll('a, button, input, select, textarea, summary')]
          .filter(e => e.checkVisibility() && !e.closest('p, dd, li.badge, .reach, .heading, .skip')
            && !e.matches('[type=hidden], .skip, h3 a, [type=checkbox], [type=radio]'))
          .filter(e => e.getBoundingClientRect().height < least - 0.5)
          .map(e => e.outerHTML.slice(0, 90))""",
        TARGET,
    )
    return list(found)
