"""How long a node keeps what has served: by the settings, each of which is honoured."""

from __future__ import annotations

from pathlib import Path

import pytest

from maillon.node.config import ConfigError, parse_config, render_config
from maillon.node.engine.post.bounds import Bounds
from maillon.node.matching.storage import ASKED, MISSED, OUT, MatchingDisk, NoticeRow, RelayRow
from maillon.node.persons.settings import Retention
from maillon.node.run.post import bounds_of
from maillon.protocol.limits import LETTER_LIFETIME_S_MAX
from maillon.protocol.records import DAY_S

AUTHOR = b"p" * 49


def test_the_days_for_letters_are_those_of_the_post_office_and_none_means_their_own_end() -> None:
    assert bounds_of(Retention()) == Bounds()
    kept = bounds_of(Retention(letters=3, sent_letters=21))
    assert (kept.taken_s, kept.arrived_s) == (3 * DAY_S, 21 * DAY_S)
    kept = bounds_of(Retention(letters=0, sent_letters=0))
    assert kept.taken_s == kept.arrived_s == LETTER_LIFETIME_S_MAX


@pytest.mark.parametrize("name", Retention.__struct_fields__)
def test_each_period_can_be_set_and_has_bounds(name: str) -> None:
    base = b'[coop]\nname = "C"\n[retention]\n'
    assert getattr(parse_config(base + f"{name} = 12\n".encode()).retention, name) == 12
    for wrong in ("-1", "36501", '"long"'):
        with pytest.raises(ConfigError, match=name):
            parse_config(base + f"{name} = {wrong}\n".encode())


def test_the_file_that_init_writes_and_the_manual_name_every_period_with_its_default() -> None:
    written = render_config(name="C", languages=[], territory=[], listen=["x"], announce=[])
    manual = (Path(__file__).parents[3] / "docs" / "operator.md").read_text()
    for name in Retention.__struct_fields__:
        default = getattr(Retention(), name)
        assert f"#{name} = {default}" in written.decode()
        assert f"| `retention.{name}` | `{default}` |" in manual


def test_notices_and_relays_that_are_older_go_and_the_rest_stays(tmp_path: Path) -> None:
    disk = MatchingDisk(tmp_path)
    for place, at in enumerate((100, 200, 300)):
        disk.add_notice(
            NoticeRow(AUTHOR, b"s" * 16, bytes([place]) * 32, b"r" * 32, at, 10_000, 1.0, False)
        )
        status = ASKED if place == 0 else MISSED
        disk.add_relay(
            RelayRow(
                bytes([place]) * 32, OUT, b"c" * 32, AUTHOR, b"d" * 32, at, at + 10, status, None,
                False, b"", b"", True,
            )
        )  # fmt: skip
    assert disk.forget_notices_before(300) == 2
    assert [row.at for row in disk.notices(AUTHOR)] == [300]
    # What nobody answered yet is not done with, however old.
    assert disk.forget_relays_before(300) == 1
    assert sorted(row.asked_at for row in disk.relays()) == [100, 300]
    disk.close()
