"""Each contradiction in a file is told at its place, with a remedy.

In the texts `§` stands where the problem is to be placed.
"""

import pytest

from gateway.config.loading import parse_config
from gateway.config.problems import ConfigError, Problem

MARK = "§"


def file(models: str = "", routes: str = "", rest: str = "") -> str:
    return f"""\
engines:
  cpu: {{kind: llamacpp}}
  lab: {{kind: remote, url: "http://lab/v1"}}
models:
  small: {{engine: cpu, weights: ./small.gguf, aliases: [tiny]}}
  big: {{engine: lab, upstream_model: org/Big}}
{models}
routes:
  - {{name: first, when: {{task: math}}, use: big}}
{routes}
{rest}
"""


def problems(marked: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(marked.replace(MARK, ""), "r.yaml", {})
    return caught.value.problems


def place(marked: str) -> tuple[int, int]:
    before = marked[: marked.index(MARK)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


CASES = {
    "an engine that is not there": (
        file(models="  m: {§engine: labb}"),
        "there is no engine 'labb'; did you mean 'lab'?",
    ),
    "one of several engines that is not there": (
        file(models="  m: {weights: x, engine: [cpu, §gpus]}"),
        "there is no engine 'gpus'; there are cpu, lab",
    ),
    "an engine named twice": (
        file(models="  m: {engine: [lab, §lab]}"),
        "the engine 'lab' is named twice",
    ),
    "a model's language by its name": (
        file(models="  m: {engine: lab, languages: [de, §english]}"),
        "there is no language 'english'; did you mean 'en' (English)?",
    ),
    "a language in the wrong case": (
        file(models="  m: {engine: lab, languages: [§EN]}"),
        "there is no language 'EN'; did you mean 'en' (English)?",
    ),
    "a language of nobody": (
        file(models="  m: {engine: lab, languages: [§klingon]}"),
        "there is no language 'klingon'; write an ISO 639-1 code",
    ),
    "a model called auto": (file(models="  §auto: {engine: lab}"), "'auto' is reserved"),
    "a model called like a variant": (file(models="  §auto:x: {engine: lab}"), "is reserved"),
    "a model without a name": (file(models="  §'': {engine: lab}"), "a model needs a name"),
    "a managed model without weights": (file(models="  §m: {engine: cpu}"), "needs `weights`"),
    "two models on one port of vLLM": (
        file(rest="")
        .replace("models:", "  gpu: {kind: vllm, §port: 9000}\nmodels:")
        .replace(
            "routes:", "  a: {engine: gpu, weights: o/a}\n  b: {engine: gpu, weights: o/b}\nroutes:"
        ),
        "'a' and 'b' would listen at the same port",
    ),
    "two engines on ports of which one is the same": (
        file(models="  a: {engine: x, weights: o/a, replicas: 3}\n  b: {engine: y, weights: o/b}")
        .replace("models:", "  x: {kind: vllm, port: 9000}\nmodels:")
        .replace("models:", "  y: {kind: vllm, §port: 9002}\nmodels:"),
        "replicas of 'x' and 'y' would listen at the same port",
    ),
    "a budget of what is no device": (
        file(rest="residency: {memory: {ram: 4GiB, §gpu: 20GiB}}"),
        "there is no device 'gpu'; use ram, or a GPU's number as in gpu0",
    ),
    "a merge key": (
        file(models="  m: {engine: lab, §<<: {context: 4096}}"),
        "unknown key '<<': YAML 1.2 has no merge keys",
    ),
    "a model for vLLM without weights": (
        file(models="  §m: {engine: gpu}").replace("models:", "  gpu: {kind: vllm}\nmodels:"),
        "needs `weights`: a folder with a config.json",
    ),
    "a queue before a model without a limit": (
        file(models="  m: {engine: lab, §max_queued: 5}"),
        "'max_queued' has no effect without 'max_concurrent'",
    ),
    "weights of a remote model": (
        file(models="  m: {engine: lab, §weights: x.gguf}"),
        "'weights' has no effect: the engine 'lab' is remote; remove it",
    ),
    "replicas of a remote model": (
        file(models="  m: {engine: lab, §replicas: 1}"),
        "'replicas' has no effect",
    ),
    "threads of a remote model": (
        file(models="  m: {engine: lab, §threads: 1}"),
        "'threads' has no effect",
    ),
    "a projector of a remote model": (
        file(models="  m: {engine: lab, §mmproj: x.gguf}"),
        "'mmproj' has no effect",
    ),
    "pooling of a remote model": (
        file(models="  m: {engine: lab, §pooling: cls}"),
        "'pooling' has no effect",
    ),
    "parallel of a remote model": (
        file(models="  m: {engine: lab, §parallel: 1}"),
        "'parallel' has no effect",
    ),
    "an upstream name of a managed model": (
        file(models="  m: {engine: cpu, weights: x, §upstream_model: y}"),
        "'upstream_model' is for remote engines",
    ),
    "an adapter of a model that is not there": (
        file(models="  m: {engine: cpu, weights: x, §adapter_of: smal}"),
        "there is no model 'smal'; did you mean 'small'?",
    ),
    "an adapter of an adapter": (
        file(
            models="  m: {engine: cpu, weights: x, adapter_of: small}\n"
            "  n: {engine: cpu, weights: y, §adapter_of: m}"
        ),
        "'m' is an adapter itself",
    ),
    "an adapter of a remote model": (
        file(models="  m: {engine: lab, §adapter_of: big}"),
        "write `upstream_model` with the adapter's name there instead",
    ),
    "an adapter with processes of its own": (
        file(models="  m: {engine: cpu, weights: x, adapter_of: small, §replicas: 2}"),
        "'replicas' has no effect: the adapter has that of 'small'",
    ),
    "an adapter with a deadline of its own": (
        file(models="  m: {engine: cpu, weights: x, adapter_of: small, §idle_timeout_s: 2}"),
        "'idle_timeout_s' has no effect: the adapter has that of 'small'",
    ),
    "an adapter without a file": (
        file(models="  §m: {engine: cpu, adapter_of: small}"),
        "needs `weights`",
    ),
    "an adapter whose name cannot be written": (
        file(models="  §a=b: {engine: cpu, weights: x, adapter_of: small}"),
        "must not have '=' in it",
    ),
    "a scale of no adapter": (
        file(models="  m: {engine: cpu, weights: x, §adapter_scale: 2}"),
        "'adapter_scale' has no effect",
    ),
    "an unknown entry of the catalogue": (
        file(models="  m: {engine: lab, §catalogue: quen2.5-72b}"),
        "there is no entry of the catalogue 'quen2.5-72b'; did you mean 'qwen2.5-72b'?",
    ),
    "an entry of the catalogue that nothing is like": (
        file(models="  m: {engine: lab, §catalogue: zzz}"),
        "`weighbridge models --catalogue` lists them",
    ),
    "an alias that is a model": (
        file(models="  m: {engine: lab, aliases: [§big]}"),
        "'big' is a model's own name",
    ),
    "one alias of two models": (
        file(models="  m: {engine: lab, aliases: [§tiny]}"),
        "the alias 'tiny' stands for 'small' already",
    ),
    "an alias that is reserved": (
        file(models="  m: {engine: lab, aliases: [§auto:fast]}"),
        "'auto:fast' is reserved",
    ),
    "an alias that stands at a model and at the top": (
        file(rest="aliases:\n  §tiny: big"),
        "the alias 'tiny' stands for 'small' already",
    ),
    "a top alias that is a model": (file(rest="aliases:\n  §big: small"), "a model's own name"),
    "a top alias that is reserved": (file(rest="aliases:\n  §auto: small"), "is reserved"),
    "an alias of nothing": (
        file(rest="aliases:\n  gpt: gpt5\n  gpt5: small\n  §other: smal"),
        "there is no model or alias 'smal'; did you mean 'small'?",
    ),
    "an alias of a variant that is not there": (
        file(rest="aliases:\n  §quick: auto:fats"),
        "there is no variant of auto 'fats'; did you mean 'fast'?",
    ),
    "a circle of aliases": (
        file(rest="aliases:\n  in: a\n  §a: b\n  b: c\n  c: a"),
        "these aliases form a cycle: a -> b -> c -> a",
    ),
    "an alias of itself": (file(rest="aliases:\n  §a: a"), "form a cycle: a -> a"),
    "sizes that overlap": (
        file(rest="sizes:\n  §small_below: 5000"),
        "small_below (5000) is greater than large_from (4000)",
    ),
    "sizes that overlap by the other key": (
        file(rest="sizes:\n  §large_from: 50"),
        "small_below (500) is greater than large_from (50)",
    ),
    "a rule's model that is not there": (
        file(routes="  - {name: r, use: [big, §smal]}"),
        "there is no model or alias 'smal'; did you mean 'small'?",
    ),
    "a rule's only model that is not there": (
        file(routes="  - {name: r, §use: smal}"),
        "did you mean 'small'?",
    ),
    "a balanced model that is not there": (
        file(routes="  - {name: r, use: {any: [big, §smal]}}"),
        "did you mean 'small'?",
    ),
    "a rule that sends to auto": (
        file(routes="  - {name: r, use: [§'auto:small']}"),
        "a rule cannot send to 'auto:small'",
    ),
    "a rule that sends to an alias of auto": (
        file(routes="  - {name: r, use: [§any]}", rest="aliases: {any: auto}"),
        "a rule cannot send to 'auto' ('any' means it)",
    ),
    "two rules of one name": (
        file(routes="  - {§name: first, use: big}"),
        "an earlier rule is named 'first' too",
    ),
    "a rule called none": (file(routes="  - {§name: none, use: big}"), "rename the rule"),
    "an unknown task": (
        file(routes="  - {name: r, when: {§task: coding}, use: big}"),
        "there is no task 'coding'; did you mean 'code'?",
    ),
    "an unknown task among others": (
        file(routes="  - {name: r, when: {task: {not: [code, §maths]}}, use: big}"),
        "did you mean 'math'?",
    ),
    "an unknown size": (
        file(routes="  - {name: r, when: {§request_size: huge}, use: big}"),
        "there is no request_size 'huge'; use small, medium or large",
    ),
    "a country's code for a language": (
        file(routes="  - {name: r, when: {language: [en, §jp]}, use: big}"),
        "there is no language 'jp'; did you mean 'ja' (Japanese)?",
    ),
    "a language by its name": (
        file(routes="  - {name: r, when: {prompt_language: {§not: english}}, use: big}"),
        "there is no prompt_language 'english'; did you mean 'en' (English)?",
    ),
    "a variety of a language": (
        file(routes="  - {name: r, when: {§language: pt-BR}, use: big}"),
        "did you mean 'pt' (Portuguese)?",
    ),
    "a language that nobody knows": (
        file(routes="  - {name: r, when: {§language: qqq}, use: big}"),
        "write an ISO 639-1 code",
    ),
    "a variant with its prefix": (
        file(routes="  - {name: r, when: {§variant: 'auto:fast'}, use: big}"),
        "write 'fast', not 'auto:fast'",
    ),
    "an empty range of tokens": (
        file(routes="  - {name: r, when: {prompt_tokens: {§min: 9, max: 2}}, use: big}"),
        "min (9) is greater than max (2)",
    ),
    "an empty range of parameters": (
        file(routes="  - {name: r, require: {parameters: {§min: 9, max: 2}}, use: big}"),
        "min (9) is greater than max (2)",
    ),
    "an unknown family": (
        file(routes="  - {name: r, require: {family: [qwen3, §qwen25]}, use: big}"),
        "the catalogue has no family 'qwen25'; did you mean 'qwen2.5'?",
    ),
    "a condition without a value": (
        file(routes="  - {name: r, when: {§task: }, use: big}"),
        "'task': nothing stands here; write what is accepted, or remove the key",
    ),
    "a condition with an empty list": (
        file(routes="  - {name: r, when: {§language: []}, use: big}"),
        "'language': nothing stands here",
    ),
    "a range whose end is left out": (
        file(routes="  - {name: r, when: {prompt_tokens: {§min: }}, use: big}"),
        "'min': nothing stands here",
    ),
    "conditions of which none is left": (
        file(routes="  - name: r\n    §when: # {task: code}\n    use: big"),
        "'when': nothing stands here",
    ),
    "no licence class": (
        file(routes="  - {name: r, require: {licence: {§classes: []}}, use: big}"),
        "'classes': nothing stands here",
    ),
    "no class of models": (
        file(routes="  - {name: r, require: {§model_class: []}, use: big}"),
        "'model_class': nothing stands here",
    ),
    "a size of 400 digits": (
        file(rest=f"residency: {{§memory: {'9' * 400}}}"),
        "a size is less than 8EiB",
    ),
    "a size of nothing": (file(rest="residency: {§memory: 0}"), "a size is greater than zero"),
    "a region that is no code": (
        file(routes="  - {name: r, require: {licence: {§region: Europe}}, use: big}"),
        "a region is a code of two letters, such as EU, not 'Europe'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_contradiction_is_placed_and_mended(case: str) -> None:
    marked, words = CASES[case]
    (only,) = problems(marked)
    assert words in only.message
    assert (only.line, only.column) == place(marked)


def test_an_adapter_runs_on_the_engine_of_its_model() -> None:
    marked = """\
engines: {cpu: {kind: llamacpp}, gpu: {kind: llamacpp, gpu_layers: -1}}
models:
  small: {engine: cpu, weights: ./small.gguf}
  sql: {§engine: gpu, weights: ./sql.gguf, adapter_of: small}
"""
    (only,) = problems(marked)
    assert "write the engine of 'small'" in only.message
    assert (only.line, only.column) == place(marked)


def test_all_problems_are_told_at_once_in_the_files_order() -> None:
    found = problems(
        file(
            models="  m: {engine: nobody}",
            routes="  - {name: r, when: {task: cod}, use: nothing}",
            rest="sizes: {small_below: 9000}",
        )
    )
    assert len(found) == 4
    assert list(found) == sorted(found)


def test_what_has_an_effect_is_accepted() -> None:
    parsed = parse_config(
        file(
            models="  both: {engine: [cpu, lab], weights: x, upstream_model: y, replicas: 2}\n"
            "  told: {engine: lab, context: 8192, embeddings: true, catalogue: qwen2.5-7b}",
            routes="  - {name: by alias, when: {variant: night}, use: [tiny, one]}\n"
            "  - {name: tongues, when: {language: [EN, undecided]}, use: big}\n"
            "  - {name: families, require: {family: Qwen2.5}, use: big}",
            rest="aliases: {one: two, two: big, night: 'auto:night', gpt: auto}",
        ),
        "r.yaml",
        {},
    ).file
    assert parsed.aliases["one"] == "two"


def test_an_empty_text_is_no_configuration() -> None:
    (only,) = problems("")
    assert "should be a mapping" in only.message


def test_a_key_in_the_wrong_section_is_sent_to_its_own() -> None:
    marked = (
        "engines:\n  lab: {kind: remote, url: 'http://x', §weights: x}\nmodels: {m: {engine: lab}}"
    )
    (only,) = problems(marked)
    assert only.message == "unknown key 'weights' here; it belongs to `models:`"
    assert (only.line, only.column) == place(marked)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "engine: {}\nengines: {x: {kind: remote, url: 'http://x'}}\n",
            "'engine'; did you mean 'engines'?",
        ),
        ("routes: [{name: r, when: {tasks: code}, use: m}]\n", "'tasks'; did you mean 'task'?"),
    ],
)
def test_a_key_that_lacks_its_s_is_not_sent_to_another_section(text: str, told: str) -> None:
    rest = "" if "engines" in text else "engines: {x: {kind: remote, url: 'http://x'}}\n"
    (only,) = problems(f"{text}{rest}models: {{m: {{engine: x}}}}")
    assert only.message == f"unknown key {told}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("context: 4k", "'context': this should be a whole number, such as 4096"),
        ("replicas: 1.5", "'replicas': this should be a whole number, such as 4096"),
        ("keep_alive_s: 5m", "'keep_alive_s': this should be a number"),
        ("pin: maybe", "'pin': this should be `true` or `false`"),
    ],
)
def test_a_plain_value_of_the_wrong_kind_says_what_it_should_be(text: str, told: str) -> None:
    (only,) = problems(file(models=f"  m: {{engine: cpu, weights: ./x.gguf, {text}}}"))
    assert only.message == told


def test_an_unknown_kind_is_mended_at_its_place() -> None:
    marked = "engines:\n  lab: {§kind: remot}\nmodels: {m: {engine: lab}}"
    (only,) = problems(marked)
    assert only.message == "there is no kind of engine 'remot'; did you mean 'remote'?"
    assert (only.line, only.column) == place(marked)


def test_names_that_look_like_pydantics_words_keep_their_place() -> None:
    marked = (
        "engines:\n  remote: {kind: remote, url: 'http://x'}\nmodels:\n  str: {§enigne: remote}"
    )
    assert place(marked) in {(one.line, one.column) for one in problems(marked)}


def test_a_value_of_the_wrong_shape_says_what_it_should_be() -> None:
    text = "engines:\n  x: {kind: remote, url: 'http://x'}\nmodels:\n  m: {engine: 5}"
    assert str(problems(text)[0]) == "r.yaml:4:7: 'engine': this should be text, or a list"


@pytest.mark.parametrize(("host", "told"), [("127.0.0.1", True), ("10.0.0.2", False)])
def test_a_port_that_the_gateway_takes_is_warned_of(host: str, *, told: bool) -> None:
    marked = file(models="  a: {engine: x, weights: o/a, replicas: 2}", rest="gateway: {host: §}")
    marked = marked.replace("models:", "  x: {kind: vllm, port: 7999}\nmodels:")
    warnings = parse_config(marked.replace(MARK, host), "r.yaml", {}).warnings
    assert [(one.line, one.column) for one in warnings] == ([(4, 19)] if told else [])
    assert all("the gateway itself listens at port 8000" in one.message for one in warnings)
