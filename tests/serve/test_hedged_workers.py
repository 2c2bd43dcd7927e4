"""Of two real llama.cpp workers one stands still: who waits for it is answered by the other."""

import asyncio
import signal

from tests.support.contract import CHAT, user
from tests.support.fleets import figure
from tests.support.serving import serving
from tests.support.waiting import until
from tests.support.worker import figures, working

BODY = {"model": "m", "messages": user("Hello"), "max_tokens": 8, "temperature": 0}


async def test_a_worker_that_stands_still_delays_nobody_and_its_tokens_are_counted_apart() -> None:
    with working() as still, working() as well:
        text = f"""
gateway: {{prefix_affinity: false}}
engines: {{lab: {{kind: remote, url: ["{still.url}/v1", "{well.url}/v1"], health_interval_s: 60}}}}
models: {{m: {{engine: lab, upstream_model: demo-qwen, hedge: {{share: 1}}}}}}
"""
        async with serving(text) as served, still.client() as one, well.client() as two:
            await served.until(lambda: all(replica.ready for replica in served.gateway.fleet))
            usual = [(await served.http.post(CHAT, json=BODY)).json() for _ in range(20)]
            still.process.send_signal(signal.SIGSTOP)
            try:
                async with asyncio.timeout(5):
                    told = [(await served.http.post(CHAT, json=BODY)).json() for _ in range(2)]
            finally:
                still.process.send_signal(signal.SIGCONT)
            said = {answer["choices"][0]["message"]["content"] for answer in usual + told}
            assert len(said) == 1
            metrics = served.gateway.metrics

            async def is_idle() -> bool:
                its = [await figures(worker) for worker in (one, two)]
                busy = sum(each["requests_running"] + each["requests_waiting"] for each in its)
                return not busy and not served.gateway.uses.open

            await until(is_idle)
            won = figure(metrics, "weighbridge_hedges_total", [("result", "won")])
            assert won in {1, 2}
            assert figure(metrics, "weighbridge_requests_total", [("outcome", "hedged")]) == won
            theirs = [(await figures(worker))["completion_tokens"] for worker in (one, two)]
            mine = figure(metrics, "weighbridge_completion_tokens_total")
            wasted = figure(metrics, "weighbridge_hedged_completion_tokens_total")
            assert mine == sum(theirs)
            assert mine - wasted == sum(a["usage"]["completion_tokens"] for a in usual + told)
