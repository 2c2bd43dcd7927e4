"""The command line: one row for each command, loaded when it is called.

Owns: the table of commands. Must not: do what a command does.
"""

import click

from gateway.cli.table import Table

# name -> (module, function)
COMMANDS = {
    "init": ("gateway.cli.init", "init"),
    "serve": ("gateway.cli.serve", "serve"),
    "import": ("gateway.cli.import_config", "import_config"),
    "check": ("gateway.cli.check", "check"),
    "pull": ("gateway.cli.pull", "pull"),
    "rm": ("gateway.cli.rm", "rm"),
    "plan": ("gateway.cli.plan", "plan"),
    "doctor": ("gateway.cli.doctor", "doctor"),
    "models": ("gateway.cli.models", "models"),
    "route": ("gateway.cli.route", "route"),
    "bench": ("gateway.cli.bench", "bench"),
}


@click.command(cls=Table, rows=COMMANDS)
@click.version_option(package_name="weighbridge")
def main() -> None:
    """Route OpenAI-style requests to open-weight models, by size, task and language."""
