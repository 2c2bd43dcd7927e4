"""The command line: one row for each command, loaded when it is called.

Owns: the table of commands. Must not: do what a command does.
"""

import importlib

import click

# name -> (module, function)
COMMANDS = {
    "init": ("gateway.cli.init", "init"),
    "serve": ("gateway.cli.serve", "serve"),
    "check": ("gateway.cli.check", "check"),
    "models": ("gateway.cli.models", "models"),
    "route": ("gateway.cli.route", "route"),
    "bench": ("gateway.cli.bench", "bench"),
}


class _Table(click.Group):
    """A group whose commands are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import one command; None where the table has no such row."""
        if cmd_name not in COMMANDS:
            return None
        module, function = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), function)
        return command if isinstance(command, click.Command) else None


@click.command(cls=_Table)
@click.version_option(package_name="weighbridge")
def main() -> None:
    """Weigh OpenAI-style requests and send each to the right open-weight model."""
