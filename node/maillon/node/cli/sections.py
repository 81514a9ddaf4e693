"""A group whose help is in sections, since a list of thirty commands is read by nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from maillon.node.cli import base
from maillon.node.i18n import _


class SectionedGroup(base.Group):
    """A group of commands in titled sections; other names that people try lead to a command.

    `sections` gives titles with the names of commands: a function, so that the language is that of
    the moment. A command that no section names comes last.
    """

    def __init__(
        self,
        *args: Any,
        sections: Callable[[], Sequence[tuple[str, Sequence[str]]]],
        also: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*args, **settings)
        self._sections = sections
        self._also = dict(also or {})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        return found or super().get_command(ctx, self._also.get(cmd_name, cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = [name for name, command in self.commands.items() if not command.hidden]
        sections = [(title, list(names)) for title, names in self._sections()]
        named = {name for _title, names in sections for name in names}
        rest = [name for name in shown if name not in named]
        if rest:
            sections.append((_("More"), rest))
        width = max(map(len, shown), default=0)
        room = formatter.width - 6 - width
        for title, names in sections:
            rows = [
                (name.ljust(width), self.commands[name].get_short_help_str(room))
                for name in names
                if name in shown
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
