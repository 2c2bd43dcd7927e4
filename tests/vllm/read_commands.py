"""Reads `vllm serve` command lines with vLLM's own parser; run by the Python that has vLLM.

    python read_commands.py < COMMANDS     # a JSON list of lists; prints one of what is wrong

Prints for each command its options as vLLM has read them, or what it says against them.
"""

import contextlib
import io
import json
import sys

from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.utils.argparse_utils import FlexibleArgumentParser


def read(command: list[str]) -> dict[str, object] | str:
    """Return the options, or the complaint."""
    complaint = io.StringIO()
    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm serve"))
    try:
        with contextlib.redirect_stderr(complaint):
            parsed = parser.parse_args(command)
            validate_parsed_serve_args(parsed)
    except SystemExit:
        return complaint.getvalue().strip().splitlines()[-1]
    except (TypeError, ValueError, KeyError) as error:
        return f"{type(error).__name__}: {error}"
    return {name: str(value) for name, value in vars(parsed).items()}


def main() -> None:
    commands: list[list[str]] = json.load(sys.stdin)
    json.dump([read(command) for command in commands], sys.stdout)


if __name__ == "__main__":
    main()
