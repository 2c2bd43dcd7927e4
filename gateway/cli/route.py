"""`weighbridge route`: explains requests, and what became of them or would become of them.

Owns: the table of its commands, and that whatever is none of them is a text to explain.
Must not: do what a command does.
"""

import difflib

import click

from gateway.cli.table import Table

# What nobody types: the command that explains a text.
_TEXT = "TEXT ..."
_MISSPELT = 0.8  # so alike are a command's name and what was meant to be it
COMMANDS = {
    "calibrate": ("gateway.cli.route_calibrate", "calibrate"),
    "diff": ("gateway.cli.route_diff", "diff"),
    "report": ("gateway.cli.route_report", "report"),
}


class _TextOrCommand(Table):
    """A group whose first argument may also be a text, or an option of the command for texts."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that can be typed."""
        return [name for name in super().list_commands(ctx) if name != _TEXT]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and the options of the one for texts."""
        super().format_options(ctx, formatter)
        text = self.get_command(ctx, _TEXT)
        options = [one for one in text.params if isinstance(one, click.Option)] if text else []
        given = [one.get_help_record(ctx) for one in options]
        with formatter.section("Options with a TEXT"):
            formatter.write_dl([record for record in given if record is not None])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command for texts before whatever names no other one.

        Raises:
            click.UsageError: the first word is a command's name, misspelt.
        """
        if args and args[0] not in COMMANDS and args[0] != "--help":
            near = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=_MISSPELT)
            if near:
                raise click.UsageError(
                    f"There is no command {args[0]!r}; did you mean {near[0]!r}? Put a text "
                    "after `--`.",
                    ctx,
                )
            args = [_TEXT, *args]
        return super().parse_args(ctx, args)


@click.command(
    cls=_TextOrCommand,
    rows={**COMMANDS, _TEXT: ("gateway.cli.route_text", "route_text")},
    subcommand_metavar="TEXT | COMMAND [OPTIONS]...",
    short_help="Explain where a request with TEXT would go, and why.",
)
def route() -> None:
    """Explain where a request with TEXT would go, and why, without sending it.

    Put a text that is (nearly) the name of a command after `--`.
    """
