"""The options of `maillon demo`, its summary and its exit code."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import shutil
import statistics
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from maillon.node.demo.dealing import Dealings
from maillon.node.demo.display import GOOD, Screen, seconds
from maillon.node.demo.leaving import Directory, heard_signals
from maillon.node.demo.nodes import DemoFailed, running
from maillon.node.demo.orders import Money
from maillon.node.demo.scenario import Figures, Scenario
from maillon.node.i18n import _, size
from maillon.protocol.errors import MaillonError

NOT_AGREED = 6
# Without a terminal there is nothing to ask for a width; lines of a log may be long.
PLAIN_WIDTH = 110
WIDTH = 92


@click.command(
    help=_(
        """Show a federation of real nodes at work on this machine.

        Five coops found a federation, publish the real France services places of their
        département and synthetic demands, a sixth arrives late, one is killed and comes back, a
        resident searches, an offer is withdrawn. Then residents give each other hours, a witness
        is killed meanwhile, one coop tries to spend twice and lies outright, the sixth is admitted
        to the accounts. Residents of different coops exchange services: one has no device and a
        helper acts for her, a complaint is mediated, a provider is replaced; there are a bundle, an
        auction, a cheque on paper, and a node killed in the middle. Both sides evaluate each other,
        and an auditor adds everything up. Exits with 6 when anything is not as the rules say.

        \b
          maillon demo
          maillon demo --keep
          maillon demo --france --json
        """
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("--keep", is_flag=True, help=_("Leave it running, and say how to use it."))
@click.option("--directory", type=click.Path(path_type=Path), help=_("Where the nodes live."))
@click.option("--france", is_flag=True, help=_("Share out all 2,845 places of France."))
@click.option("--picture", type=click.Path(path_type=Path), help=_("Save what was shown as SVG."))
@click.option("--seed", type=int, help=_("Repeat the residents of an earlier run."))
@click.option("--json", "as_json", is_flag=True, help=_("Print the figures for programs."))
def demo(
    keep: bool,
    directory: Path | None,
    france: bool,
    picture: Path | None,
    seed: int | None,
    as_json: bool,
) -> int:
    console = Console(highlight=False, record=picture is not None)
    if not console.is_terminal:
        console = Console(highlight=False, record=picture is not None, width=PLAIN_WIDTH)
    screen = Screen(console, quiet=as_json)
    own = Directory.make() if directory is None else Directory(directory.absolute())
    root = own.path
    if directory is not None:
        if root.exists() and any(root.iterdir()):
            raise DemoFailed(
                _("{path} is not empty.").format(path=root),
                hint=_("Name a directory that does not exist yet."),
            )
        root.mkdir(parents=True, exist_ok=True)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    scenario = Scenario(root, screen, chosen, everywhere=france)
    began = time.monotonic()
    screen.title(
        _("Maillon — a federation without a centre"),
        _(
            "Real nodes, each its own process, over libp2p on this machine.\n"
            "Offers: France services places (ANCT, data.gouv.fr, 2024-08-01, "
            "Licence Ouverte 2.0).\n"
            "Residents and their demands: made up (seed {seed})."
        ).format(seed=chosen),
    )
    stay = [False]
    try:
        with heard_signals(), running(lambda: scenario.processes, keep=lambda: stay[0]):
            for part in scenario.parts:
                start = time.monotonic()
                part()
                scenario.figures.parts_s[part.__name__] = round(time.monotonic() - start, 1)
            took = time.monotonic() - began
            stay[0] = keep and scenario.figures.agree
    except (KeyboardInterrupt, SystemExit):
        own.remove()
        raise
    except (MaillonError, OSError) as fault:
        own.keep()
        _failed(fault, root, chosen, as_json)
        return NOT_AGREED
    if as_json:
        figures = dataclasses.asdict(scenario.figures)
        figures["ledger"] = dataclasses.asdict(scenario.desk.money)
        figures["exchanges"] = dataclasses.asdict(scenario.dealing.figures)
        click.echo(json.dumps(figures | {"seed": chosen, "took_s": round(took, 1)}, indent=2))
    else:
        _summary(console, scenario.figures, scenario.desk.money, scenario.dealing.figures, took)
    if picture is not None:
        _save_picture(console, picture)
    if not scenario.figures.agree:
        own.keep()
        click.echo(_("The nodes do not agree. Their directories are in {path}.").format(path=root))
        return NOT_AGREED
    if stay[0]:
        own.keep()
        _how_to_go_on(console, scenario, as_json)
    elif directory is None:
        own.remove()
        if not as_json:
            click.echo(_("To look around in it yourself: maillon demo --keep"))
    return 0


def _save_picture(console: Console, path: Path) -> None:
    """Save what was printed as an SVG file that loads nothing from elsewhere."""
    svg = console.export_svg(title="maillon demo", clear=False)
    # rich names a font on a foreign host; the reader's own monospaced font does.
    svg = re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)
    path.write_text(svg.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")


def _failed(fault: Exception, root: Path, seed: int, as_json: bool) -> None:
    text = str(fault)
    hint = getattr(fault, "hint", None) or _(
        "The nodes' directories and logs are in {path}. Repeat with --seed {seed}."
    ).format(path=root, seed=seed)
    if as_json:
        error = {"code": getattr(fault, "code", "demo"), "message": text, "hint": hint}
        click.echo(json.dumps({"error": error}, ensure_ascii=False), err=True)
    else:
        click.echo(f"\nmaillon demo: {text}\n  {hint}", err=True)


def _summary(
    console: Console, figures: Figures, money: Money, dealings: Dealings, took: float
) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="grey50")
    table.add_column(_("coop"))
    table.add_column(_("records"), justify="right")
    table.add_column(_("fingerprint"), justify="right")
    table.add_column(_("sent"), justify="right")
    table.add_column(_("signatures checked"), justify="right")
    for node in figures.nodes:
        name = node["name"]
        if node["restarted"]:
            name = _("{name} (restarted)").format(name=name)
        table.add_row(
            name,
            str(node["records"]),
            node["fingerprint"][:8],
            size(node["bytes_out"]),
            str(node["signatures_checked"]),
        )
    facts = Table.grid(padding=(0, 2))
    for label, value in (
        (_("time to spread"), _("p50 {p50}, p99 {p99}").format(
            p50=seconds(figures.spread_ms_p50 / 1000), p99=seconds(figures.spread_ms_p99 / 1000))),
        (_("catching up"), _("{n} records in {time}").format(
            n=figures.catch_up_records, time=seconds(figures.catch_up_s))),
        (_("back after SIGKILL"), seconds(figures.restart_s)),
        (_("withdrawn everywhere"), seconds(figures.withdrawn_everywhere_s)),
        (_("sent per record and node"), size(figures.bytes_sent_per_record)),
        (_("signatures checked"), str(figures.signatures_checked)),
        (_("a transfer is final after"), seconds(money.final_ms_p50 / 1000)),
        (_("accounts and blocks"), f"{money.accounts}, {money.blocks}"),
        (_("exchanges and steps"), f"{dealings.exchanges}, {dealings.steps}"),
        (_("a step is answered after"), seconds(statistics.median(dealings.step_ms) / 1000)),
        (_("sum of all accounts"), str(sum(money.sums.values()))),
        (_("the whole"), seconds(took)),
    ):  # fmt: skip
        facts.add_row(Text(label, style="grey50"), value)
    verdict = (
        Text(_("All {n} nodes agree on {records} records.").format(
            n=len(figures.nodes), records=figures.records), style=f"bold {GOOD}")
        if figures.agree
        else Text(_("The nodes do not agree."), style="bold red3")
    )  # fmt: skip
    grid = Table.grid()
    for part in (verdict, "", table, "", facts):
        grid.add_row(part)
    console.print()
    width = min(WIDTH, console.width)
    console.print(Panel(grid, title=_("Summary"), border_style=GOOD, width=width))


def _how_to_go_on(console: Console, scenario: Scenario, as_json: bool) -> None:
    program = "maillon" if shutil.which("maillon") else sys.argv[0]
    home = scenario.nodes[0].home.path
    lines = [
        _("The federation goes on running. In this directory are the nodes: {path}").format(
            path=scenario.root
        ),
        "",
        f"  export MAILLON_HOME={home}",
        f"  {program} status",
        f"  {program} search vélo",
        f"  {program} offer list",
        f"  {program} offer publish --title '…' --category …",
        f"  {program} account list",
        f"  {program} transfer 'Résident fictif 1' 'Résident fictif 2' 30min",
        f"  {program} ledger status",
        f"  {program} exchange list",
        f"  {program} person acts 'Résident fictif 2'",
        "",
        _("To end it and remove what it wrote:"),
        "  kill " + " ".join(str(n.process.pid) for n in scenario.all if n.process),
        f"  rm -r {scenario.root}",
    ]
    target = sys.stderr if as_json else sys.stdout
    click.echo("\n".join(lines), file=target)
