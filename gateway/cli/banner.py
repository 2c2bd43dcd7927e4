"""What `weighbridge serve` says when it begins: what is served, where, and what to try.

Owns: the words. Must not: start anything.
"""

from collections.abc import Iterator, Sequence

from gateway.cli.config_source import ConfigSource
from gateway.config.names import is_reserved, resolved_aliases
from gateway.parts import Gateway
from gateway.planning import engines_of, fetched_later

_EXPOSED = """\
WITHOUT A KEY: anybody who reaches this address may use it. Set WEIGHBRIDGE_API_KEY to require one.
The Host of a request must be an IP address, localhost or one of gateway.allowed_hosts."""
_DEMO = """\
The demo models are toys, trained on a few hundred questions so that you see an answer at once;
on anything else they babble. They contain no Meta or Alibaba weights. To add a real model:
  {how}
      my-model: {{weights: ./path/to/model.gguf, engine: {engine}}}"""


def banner(
    gateway: Gateway, source: ConfigSource, url: str, *, keyed: bool, exposed: bool = False
) -> str:
    """Return the whole banner, lines without a final end of line.

    `exposed` says that other machines are served without a key.
    """
    file = gateway.config.file
    parts = [f"Weighbridge serves {source.described}", "", *_models(gateway)]
    hopeless = _hopeless(gateway) >= set(file.models)
    if hopeless:
        parts += ["", "NO MODEL CAN START. The log says why, and so does GET /ready:"]
        parts += [f"  {line}" for line in cannot_start(gateway)]
    if exposed:
        parts += ["", _EXPOSED]
    key = ' -H "Authorization: Bearer $WEIGHBRIDGE_API_KEY"' if keyed else ""
    parts += [
        "",
        f"Listening on {url} (OpenAI base URL: {url}/v1, pages: {url}/docs)",
        "Try it, once a model can start:" if hopeless else "Try it:",
        f"  curl {url}/v1/chat/completions -H 'Content-Type: application/json'{key} \\",
        '    -d \'{"model": "auto", "messages": [{"role": "user", "content": "Hola"}]}\'',
    ]
    demos = [m for m in file.models.values() if (m.weights or "").startswith("demo:")]
    if demos:
        how = (
            "run `weighbridge init`, then add it under `models:` in routing.yaml:"
            if source.packaged
            else f"add it under `models:` in {source.path.name}; it is served as soon as you save:"
        )
        parts += ["", _DEMO.format(how=how, engine=engines_of(demos[0])[0])]
    return "\n".join([*parts, ""])


def cannot_start(gateway: Gateway) -> list[str]:
    """Return a line for each reason for which replicas can never start, with their models."""
    models: dict[str, dict[str, None]] = {}
    for replica in gateway.fleet:
        if replica.plan.problem is not None:
            models.setdefault(replica.plan.problem, {})[replica.plan.model] = None
    return [f"{', '.join(names)} cannot start: {why}" for why, names in models.items()]


def _models(gateway: Gateway) -> Iterator[str]:
    """Yield a line for each model and one for `auto`."""
    file, hopeless = gateway.config.file, _hopeless(gateway)
    aliases = resolved_aliases(file)
    plans = (replica.plan for replica in gateway.fleet)
    later = dict.fromkeys(fetched_later(plans), "  (fetched on its first request)")
    for name, model in file.models.items():
        means = model.weights or model.upstream_model or name
        also = _also([alias for alias, target in aliases.items() if target == name])
        lame = "  CANNOT START" if name in hopeless else later.get(name, "")
        yield f"  {name:<24} {means} on {', '.join(engines_of(model))}{also}{lame}"
    if file.routes:
        rules = "1 rule" if len(file.routes) == 1 else f"{len(file.routes)} rules"
        also = _also([alias for alias, target in aliases.items() if is_reserved(target)])
        yield f"  {'auto':<24} chosen by {rules}{also}"


def _hopeless(gateway: Gateway) -> set[str]:
    """Return the models of which no replica can ever start."""
    plans = [replica.plan for replica in gateway.fleet]
    able = {name for plan in plans if plan.problem is None for name in plan.served}
    return set(gateway.config.file.models) - able


def _also(aliases: Sequence[str]) -> str:
    return f"  (also: {', '.join(aliases)})" if aliases else ""
