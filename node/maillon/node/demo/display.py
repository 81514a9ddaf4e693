"""How the demonstration looks: steps with a mark, a table that moves while nodes work."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from maillon.node.i18n import _, decimal, size

ACCENT = "dark_orange3"
GOOD = "green3"


class Screen:
    """Prints to a terminal, or plain lines when the output goes elsewhere; silent for programs."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self.console = console
        self.quiet = quiet

    def title(self, text: str, below: str) -> None:
        """Print the opening."""
        if not self.quiet:
            heading = Text(text, style=f"bold {ACCENT}")
            width = min(92, self.console.width)
            self.console.print(Panel(Group(heading, Text(below)), border_style=ACCENT, width=width))

    def chapter(self, number: int, text: str) -> None:
        """Print the heading of a part."""
        if not self.quiet:
            self.console.print()
            self.console.print(
                Rule(Text(f"{number}  {text}", style="bold"), align="left", style="grey50")
            )

    def done(self, text: str, detail: str = "") -> None:
        """Print a finished step."""
        if not self.quiet:
            line = Text.assemble(("  ✓ ", f"bold {GOOD}"), text)
            fits = len(line.plain) + 2 + len(detail) <= self.console.width
            if detail and fits:
                line.append(f"  {detail}", style="grey50")
            self.console.print(line)
            if detail and not fits:
                self.note(detail)

    def item(self, text: str) -> None:
        """Print an entry of a list."""
        if not self.quiet:
            self.console.print(Text("    • " + text))

    def note(self, text: str) -> None:
        """Print a line of explanation."""
        if not self.quiet:
            self.console.print(Padding(Text(text, style="grey50"), (0, 0, 0, 4)))

    def show(self, renderable: RenderableType) -> None:
        """Print anything that rich can draw."""
        if not self.quiet:
            self.console.print(renderable)

    @contextmanager
    def live(self, text: str) -> Generator[Moving]:
        """Show something that moves while the block runs."""
        moving = Moving(text)
        if self.quiet or not self.console.is_terminal:
            yield moving
            return
        with Live(moving, console=self.console, refresh_per_second=8, transient=True):
            yield moving


class Moving:
    """A spinner with a sentence, and under it the table of the nodes once there is one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.body: RenderableType = Text("")

    def __rich__(self) -> RenderableType:
        return Group(Spinner("dots", text=Text(" " + self.text), style=ACCENT), self.body)


def bar(part: int, whole: int, width: int = 24) -> Text:
    """Return a bar that is `part` of `whole` full."""
    full = 0 if whole <= 0 else min(width, round(width * part / whole))
    return Text.assemble(("━" * full, ACCENT), ("━" * (width - full), "grey35"))


def node_table(rows: Sequence[tuple[str, dict[str, Any] | None]], width: int) -> Table:
    """Return the table of nodes: records, neighbours, traffic; it fits into `width` columns."""
    full = 24 if width >= 100 else 8
    most = max((s["live"] for _name, s in rows if s), default=0)
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="grey50")
    table.add_column("    " + _("coop"), no_wrap=True)
    table.add_column(_("records"), justify="right")
    table.add_column("", min_width=full)
    table.add_column(_("neighbours"), justify="right")
    table.add_column(_("sent"), justify="right")
    table.add_column(_("checked"), justify="right")
    for name, status in rows:
        if status is None:
            table.add_row("    " + name, Text(_("down"), style="red3"), bar(0, 1, full), "", "", "")
            continue
        table.add_row(
            "    " + name,
            f"{status['live']}",
            bar(status["live"], most, full),
            f"{status['peers']['connected']}",
            size(status["bytes_out"]),
            f"{status['signatures']['checked']}",
        )
    return table


def seconds(value: float) -> str:
    """Return a duration as people read it."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{decimal(value)} s"
