"""Whose clock times are read and shown by: the coop's, wherever its node or an operator is."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from maillon.node.cli import clock
from maillon.node.config import ConfigError, load_config
from maillon.node.home import Home
from maillon.node.zones import is_zone, zone_of_territory
from support.commands import Run

NOON = 1_795_694_400  # 2026-11-26 12:00 UTC


def coop(home: Path) -> dict[str, object]:
    return dict(tomllib.loads((home / "config.toml").read_text("utf-8"))["coop"])


@pytest.mark.parametrize(
    ("territory", "zone"),
    [
        ((), "Europe/Paris"),
        (("26", "07"), "Europe/Paris"),
        (("97411", "974"), "Indian/Reunion"),
        (("972",), "America/Martinique"),
        (("971", "972"), "Europe/Paris"),
    ],
)
def test_the_clock_is_that_of_the_territory(territory: tuple[str, ...], zone: str) -> None:
    assert zone_of_territory(territory) == zone
    assert is_zone(zone)


def test_init_writes_the_zone_and_the_contact_that_every_agreement_needs(
    cli: Run, home: Path
) -> None:
    told = cli(
        "init", "--name", "Coop", "--territory", "974", "--phone", "02 62 00 00 00",
        "--email", "accueil@example.org", "--generate-password",
    )  # fmt: skip
    assert told.code == 0 and "coop.contact" not in told.out
    said = coop(home)
    assert said["zone"] == "Indian/Reunion"
    assert said["contact"] == {"phone": "02 62 00 00 00", "email": "accueil@example.org"}
    assert load_config(Home(home)).coop.zone == "Indian/Reunion"


def test_init_without_a_contact_says_where_it_is_to_be_said(cli: Run, home: Path) -> None:
    told = cli("init", "--name", "Coop", "--zone", "Europe/Lisbon", "--generate-password")
    assert told.code == 0 and "[coop.contact]" in told.out
    assert "contact" not in coop(home) and coop(home)["zone"] == "Europe/Lisbon"


@pytest.mark.parametrize(
    ("option", "value"), [("--zone", "Mars/Phobos"), ("--phone", "none"), ("--email", "me")]
)
def test_init_refuses_what_nobody_could_use_and_makes_nothing(
    cli: Run, home: Path, option: str, value: str
) -> None:
    told = cli("init", "--name", "Coop", "--generate-password", option, value)
    assert told.code == 2 and option in told.err
    assert not home.exists()


def test_a_zone_that_does_not_exist_is_told_with_its_name(ready: Run, home: Path) -> None:
    file = home / "config.toml"
    file.write_text(file.read_text("utf-8").replace("Europe/Paris", "Europe/Pariss"), "utf-8")
    with pytest.raises(ConfigError, match=r"coop\.zone"):
        load_config(Home(home))


def test_times_are_shown_by_the_clock_of_the_coop_and_not_of_the_machine(
    cli: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import click

    from maillon.node.cli import base

    cli("init", "--name", "Coop", "--territory", "974", "--generate-password")
    with click.Context(click.Command("x"), obj=base.State()):
        base.state().home = Home(home)
        assert base.when(NOON) == "2026-11-26 16:00"
        assert clock.moment_in_words(NOON) == "Thu 2026-11-26 16:00 (Indian/Reunion)"
        shown = clock.span_in_words(NOON, NOON + 5_400)
        assert shown == "Thu 2026-11-26 16:00 – 17:30 (Indian/Reunion)"
        assert base.moment("2026-11-26T16:00") == NOON
        over = clock.span_in_words(NOON, NOON + 36_000, zoned=False)
        assert over == "Thu 2026-11-26 16:00 – Fri 2026-11-27 02:00"
