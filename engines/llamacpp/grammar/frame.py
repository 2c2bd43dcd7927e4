"""What a family puts around an answer: its form of calls, the marks of its thoughts.

Owns: the value.
Must not: know families: `speech` does.
"""

from dataclasses import dataclass

from engines.llamacpp.speech.form import Elements, Form


@dataclass(frozen=True, slots=True)
class Frame:
    """`form` of calls and `thought`, the marks around one: None where the model has none.

    `thinking`: the prompt has opened the thought; otherwise the model may open one. `turn` stands
    behind a thought, and `answer` before an answer that is no call.
    """

    form: Form | Elements | None = None
    thought: tuple[str, str] | None = None
    thinking: bool = False
    turn: str = ""
    answer: str = ""
