"""Asks the engine of a model how many tokens a prompt has, without a gateway.

Owns: whom to ask: a remote server's `/tokenize`; for weights of ours a process that reads their
vocabulary alone.
Must not: decide anything by the answer, or fail where there is none.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec

from engines.kinds import ReplicaPlan
from engines.protocol.decoding import AnyRequest
from engines.protocol.requests import ChatRequest, CompletionRequest
from engines.weights import WeightsProblem, resolve
from gateway.config.loading import LoadedConfig
from gateway.planning import plans_of
from gateway.tokenizing import answered, question

_REMOTE_S = 2.0
_OWN_S = 20.0


class EngineCounter:
    """Counts for the models of one configuration; None where nobody can say."""

    def __init__(self, config: LoadedConfig) -> None:
        self._config = config
        plans = plans_of(config, Path(), cores=1)
        self._plans = {name: plan for plan in plans for name in plan.served}

    def __call__(self, model: str, request: AnyRequest) -> int | None:
        """Return the tokens of a request's prompt, as the engine of a model counts them."""
        plan = self._plans.get(model)
        if plan is None or not isinstance(request, ChatRequest | CompletionRequest):
            return None
        body = msgspec.json.encode(_said(msgspec.to_builtins(request)))
        asked = question(request, body, plan.upstream_name(model))
        return self._own(plan, asked) if plan.launch is not None else _remote(plan, asked)

    def _own(self, plan: ReplicaPlan, asked: bytes) -> int | None:
        weights = self._config.file.models[plan.model].weights or ""
        try:
            path = resolve(weights, self._config.base)
            command = [sys.executable, "-P", "-m", "engines.llamacpp.counting", str(path)]
            ended = subprocess.run(
                command, input=asked, capture_output=True, timeout=_OWN_S, check=False
            )
        except (WeightsProblem, OSError, subprocess.TimeoutExpired):
            return None
        return answered(ended.stdout) if ended.returncode == 0 else None


def _remote(plan: ReplicaPlan, asked: bytes) -> int | None:
    address, path = plan.address, plan.tokenize_path
    if path is None:
        return None
    headers = {"content-type": "application/json"}
    if address.authorization is not None:
        headers["authorization"] = address.authorization
    try:
        told = httpx.post(
            f"{address.key}{path}",
            content=asked,
            headers=headers,
            timeout=_REMOTE_S,
            trust_env=False,  # no proxy, as in the relay
        )
    except (httpx.HTTPError, httpx.InvalidURL):
        return None
    return answered(told.content) if told.status_code == 200 else None


def _said(given: Any) -> Any:
    """Return a request as a client would write it: without what it does not say."""
    if isinstance(given, dict):
        return {name: _said(value) for name, value in given.items() if value is not None}
    return [_said(value) for value in given] if isinstance(given, list) else given
