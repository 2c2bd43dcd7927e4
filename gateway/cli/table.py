"""A group of commands as a table: one row for each, imported when it is called.

Owns: how a row becomes a command. Must not: know a command.
"""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, TypeAlias

import click

# name -> (module, function)
Rows: TypeAlias = Mapping[str, tuple[str, str]]


class Table(click.Group):
    """A group whose commands are imported only when they are asked for."""

    def __init__(self, *args: Any, rows: Rows, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the table's order."""
        return list(self.rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import one command; None where the table has no such row."""
        if cmd_name not in self.rows:
            return None
        module, function = self.rows[cmd_name]
        command = getattr(importlib.import_module(module), function)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called; a misspelt one is told the nearest."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], self.rows, n=1)
            if not near:
                raise
            told = f"{error.message.rstrip('.')}; did you mean {near[0]!r}?"
            raise click.UsageError(told, ctx) from None
