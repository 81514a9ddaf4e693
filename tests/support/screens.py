"""Make the pictures of all pages (docs/screens/): `make screens`.

    python -m support.screens [--only carnet] [--to docs/screens]

Each page at three widths, in French; some also in English, dark and in high contrast. An area of
pages adds its own to PAGES.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from support.chromium import chromium, missing, sign_in, visitor
from support.pages import PagesNode, pages_node

TOP = Path(__file__).parents[2]
WIDTHS = (360, 768, 1280)
HEIGHT_MAX = 3_000


@dataclass(frozen=True, slots=True)
class Screen:
    """One page: `who` is signed in, `{title}` in the path becomes the record of that title."""

    name: str
    path: str
    who: str = ""
    record: str = ""
    themes: tuple[str, ...] = ("light",)
    languages: tuple[str, ...] = ("fr",)
    widths: tuple[int, ...] = WIDTHS


PAGES = (
    Screen("home", "/", themes=("light", "dark", "contrast"), languages=("fr", "en")),
    Screen("search", "/search?q=aide"),
    Screen("search-filters", "/search?km=20&mode=at_home", themes=("light", "dark")),
    Screen("search-nothing", "/search?q=parapluie"),
    Screen("offer", "/offers/{id}", record="Aide aux démarches en ligne"),
    Screen("demand", "/demands/{id}", record="Trajet vers un rendez-vous médical"),
    Screen("sign-in", "/sign-in"),
    Screen("claim", "/claim"),
    Screen("devices", "/devices", who="Ana Exemple"),
    Screen("carnet", "/carnet", who="Ana Exemple", themes=("light", "dark")),
    Screen("carnet-print", "/carnet/print", who="Ana Exemple", widths=(1280,)),
    Screen("error", "/nope"),
    Screen("kit", "/kit", themes=("light", "dark", "contrast"), widths=(360, 1280)),
)


def take(browser: Browser, node: PagesNode, screen: Screen, to: Path) -> int:
    """Take the pictures of one page; return how many."""
    path = screen.path.format(id=node.ids.get(screen.record, ""))
    count = 0
    for theme in screen.themes:
        for language in screen.languages if theme == "light" else screen.languages[:1]:
            for width in screen.widths if theme == "light" else screen.widths[::2]:
                with visitor(browser, node.url, width=width, theme=theme, language=language) as p:
                    if screen.who:
                        sign_in(p, node.code(screen.who))
                    p.goto(path)
                    p.wait_for_load_state("networkidle")
                    more = [] if theme == "light" else [theme]
                    more += [] if language == "fr" else [language]
                    name = "-".join([screen.name, str(width), *more])
                    height = min(
                        HEIGHT_MAX, int(p.evaluate("document.documentElement.scrollHeight"))
                    )
                    taken = p.screenshot(
                        full_page=True,
                        clip={"x": 0, "y": 0, "width": width, "height": height},
                    )
                    # A palette is enough for flat colours, and a quarter of the size.
                    picture = Image.open(io.BytesIO(taken)).convert("RGB")
                    picture.quantize(96, dither=Image.Dither.NONE).save(
                        to / f"{name}.png", optimize=True
                    )
                    count += 1
    return count


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="pages whose name begins so")
    parser.add_argument("--to", type=Path, default=TOP / "docs" / "screens")
    asked = parser.parse_args()
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    asked.to.mkdir(parents=True, exist_ok=True)
    count = 0
    with (
        tempfile.TemporaryDirectory(prefix="screens") as folder,
        pages_node(Path(folder)) as node,
        chromium() as browser,
    ):
        for screen in PAGES:
            if screen.name.startswith(asked.only):
                count += take(browser, node, screen, asked.to)
    print(f"{count} pictures in {asked.to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
