"""What a vLLM keeps while it sleeps."""

from engines.memory import RAM, VllmSettings, asleep, need_of_vllm

GIB = 1 << 30


def test_its_weights_lie_in_ram_and_of_each_gpu_it_keeps_little() -> None:
    settings = VllmSettings(gpus={"gpu0": 20 * GIB, "gpu1": 20 * GIB}, share=0.5)
    awake = need_of_vllm(12 * GIB, settings)
    kept = asleep(awake)
    assert kept.on(RAM) == awake.on(RAM) + 12 * GIB
    assert kept.on("gpu0") == kept.on("gpu1") == 3 * GIB // 2
    assert kept.of("kv_cache") == 0
