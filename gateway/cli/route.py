"""`weighbridge route "text"`: explains, without a gateway, where a request would go and why.

Owns: the explanation's words and layout, as a table or as JSON.
Must not: decide (`classify` and `selection` do) or send anything.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from engines.protocol.errors import ApiError
from engines.protocol.requests import ChatRequest, Message
from gateway.classify import Weigher
from gateway.cli.config_source import find_config
from gateway.config.loading import load_config
from gateway.config.names import all_aliases
from gateway.config.problems import ConfigError
from gateway.config.schema import RoutingFile
from gateway.domain import Asked, Choice, Endpoint, ModelFacts, Weighed
from gateway.environment import EnvironmentProblem, read_environment
from gateway.errors import ModelNotFound
from gateway.known import gather_facts
from gateway.selection import Selector, Verdict

_FEATURES = ("task", "prompt_language", "language", "request_size")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A request's way: what it weighs, each rule tried, the choice."""

    asked: str
    weighed: Weighed
    verdicts: tuple[Verdict, ...]
    choice: Choice

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as plain values, for `--json`."""
        weighed = self.weighed
        return {
            "asked": self.asked,
            "task": weighed.task,
            "language": weighed.language,
            "language_confidence": weighed.language_confidence,
            "prompt_language": weighed.prompt_language,
            "prompt_language_confidence": weighed.prompt_language_confidence,
            "request_size": weighed.request_size,
            "prompt_tokens": weighed.prompt_tokens,
            "reasons": list(weighed.reasons),
            "rules": [
                {"rule": v.rule, "matched": v.matched, "reason": v.reason} for v in self.verdicts
            ],
            "rule": self.choice.rule,
            "model": self.choice.models[0],
            "models": list(self.choice.models),
            "choice_reasons": list(self.choice.reasons),
        }

    def as_table(self) -> str:
        """Return the explanation for people, lines of text without an end of line."""
        lines = ["What the request is"]
        lines += [_row(f, getattr(self.weighed, f), self._reason(f)) for f in _FEATURES]
        lines += ["", "Rules, first match wins"]
        lines += [_row(v.rule, "yes" if v.matched else "no", v.reason) for v in self.verdicts]
        if not self.verdicts:
            lines.append("  none tried")
        lines += ["", f"Decided by {self.choice.rule}: {', '.join(self.choice.models)}"]
        lines += [f"  - {reason}" for reason in self.choice.reasons]
        return "\n".join(lines)

    def _reason(self, feature: str) -> str:
        start = f"{feature} is "
        found = next((r for r in self.weighed.reasons if r.startswith(start)), "")
        return found.partition(": ")[2]


def explain(
    file: RoutingFile,
    facts: Mapping[str, ModelFacts],
    text: str,
    *,
    model: str | None = None,
    system: str | None = None,
) -> Explanation:
    """Return where a chat request with this text would go; every model counts as up.

    Raises:
        ApiError: the asked model does not exist, or nothing can serve the request.
    """
    messages = [Message("system", system)] if system else []
    request = ChatRequest(messages=[*messages, Message("user", text)])
    weighed = Weigher(file.sizes, file.languages).weigh_chat(request)
    selector = Selector(file, facts)
    asked = Asked(model, Endpoint.CHAT)
    choice = selector.choose(asked, weighed, {})
    return Explanation(model or "auto", weighed, selector.explain(asked, weighed), choice)


@click.command(short_help="Explain where a request with TEXT would go, and why.")
@click.argument("text")
@click.option(
    "--config",
    "config_option",
    metavar="FILE",
    help="The routing file; default: WEIGHBRIDGE_CONFIG, ./routing.yaml, the packaged demo.",
)
@click.option("--model", help="The model a client asks for; auto when absent.")
@click.option("--system", help="A system prompt before the text.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def route(
    text: str, config_option: str | None, model: str | None, system: str | None, *, as_json: bool
) -> None:
    """Explain where a request with TEXT would go, and why, without sending it."""
    try:
        source = find_config(config_option, read_environment(os.environ), Path())
        config = load_config(source.path, os.environ)
        explanation = explain(config.file, gather_facts(config), text, model=model, system=system)
    except (ConfigError, EnvironmentProblem) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except ModelNotFound as error:
        # A client would ask the gateway what there is; here the file tells.
        click.echo(f"{error.what} {source.path.name} serves {_names(config.file)}.", err=True)
        sys.exit(1)
    except ApiError as error:
        click.echo(error.message, err=True)
        sys.exit(1)
    if as_json:
        click.echo(msgspec.json.encode(explanation.as_dict()))
    else:
        click.echo(explanation.as_table())


def _names(file: RoutingFile) -> str:
    return ", ".join([*file.models, *all_aliases(file), *(["auto"] if file.routes else [])])


def _row(name: str, value: str, reason: str) -> str:
    return f"  {name:<16} {value:<14} {reason}".rstrip()
