"""What `weighbridge serve` says when it begins: what is served, where, and what to try.

Owns: the words. Must not: start anything.
"""

from collections.abc import Sequence

from gateway.cli.config_source import ConfigSource
from gateway.config.names import is_reserved, resolved_aliases
from gateway.parts import Gateway, engines_of

_DEMO = """\
The demo models are toys, trained on a few hundred lines so that a newcomer sees an answer at
once; on anything else they babble. No Meta or Alibaba weights are in them. To add a real model:
  {how}
      my-model: {{weights: ./path/to/model.gguf, engine: {engine}}}"""


def banner(gateway: Gateway, source: ConfigSource, url: str, *, keyed: bool) -> str:
    """Return the whole banner, lines without a final end of line."""
    file = gateway.config.file
    aliases = resolved_aliases(file)
    parts = [f"Weighbridge serves {source.described}", ""]
    for name, model in file.models.items():
        means = model.weights or model.upstream_model or name
        also = _also([alias for alias, target in aliases.items() if target == name])
        parts.append(f"  {name:<24} {means} on {', '.join(engines_of(model))}{also}")
    if file.routes:
        rules = "1 rule" if len(file.routes) == 1 else f"{len(file.routes)} rules"
        also = _also([alias for alias, target in aliases.items() if is_reserved(target)])
        parts.append(f"  {'auto':<24} chosen by {rules}{also}")
    key = ' -H "Authorization: Bearer $WEIGHBRIDGE_API_KEY"' if keyed else ""
    parts += [
        "",
        f"Listening on {url} (OpenAI base URL: {url}/v1, pages: {url}/docs)",
        "Try it:",
        f"  curl {url}/v1/chat/completions -H 'Content-Type: application/json'{key} \\",
        '    -d \'{"model": "auto", "messages": [{"role": "user", "content": "Hola"}]}\'',
    ]
    demos = [m for m in file.models.values() if (m.weights or "").startswith("demo:")]
    if demos:
        how = (
            "run `weighbridge init`, then add under `models:` in routing.yaml"
            if source.packaged
            else f"add under `models:` in {source.path.name}, and start again:"
        )
        parts += ["", _DEMO.format(how=how, engine=engines_of(demos[0])[0])]
    return "\n".join([*parts, ""])


def _also(aliases: Sequence[str]) -> str:
    return f"  (also: {', '.join(aliases)})" if aliases else ""
