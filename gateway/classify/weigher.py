"""Weighs a request: task, languages, size, each with a reason a person can read.

Owns: which text of a request counts, and what its shape says (tools, images, audio, JSON).
Must not: choose models; keep anything of a request; raise on any text.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from engines.protocol.decoding import AnyRequest
from engines.protocol.readings import EmbeddingRequest, RerankRequest, ScoreRequest
from engines.protocol.requests import ChatRequest, CompletionRequest
from gateway.classify.answer_language import AnswerLanguageFinder
from gateway.classify.counting import Counts
from gateway.classify.difficulty import DifficultyFinder
from gateway.classify.expecting import ExpectedLanguage, Talk
from gateway.classify.kin import NO_HINTS, Hints
from gateway.classify.language import NOTHING, Found, LanguageFinder
from gateway.classify.lexicon import load_lexicons
from gateway.classify.plain import plain
from gateway.classify.reading import Reader, Turn, greetings_of, openings_of
from gateway.classify.segments import clip, has_letters
from gateway.classify.shape import Shape, ShapeReader, texts_of
from gateway.classify.size import counted, is_open, size_of
from gateway.classify.task import Task, TaskFinder
from gateway.classify.task_model import shipped_model
from gateway.classify.tokens import AnyVocabulary, estimate, load_vocabularies
from gateway.config.weighing import LanguageSection, SizeSection, TaskSection
from gateway.domain import UNDECIDED, Estimate, Weighed

_EARLIER_TURNS = 4
_READ_TURNS = 2  # the newest and the one before it: what a task is told by
_MOST_SYSTEMS = 8  # of a client that sends thousands, reading each would hold everybody up
_SHORT_LETTERS = 24  # a turn shorter than this leans on the turns before it
_SURE = 0.75
_INSTRUCTION_CHARS = 600
_SHORT_CHARS = 60


class Weigher:
    """Weighs requests. Built once: it loads word lists and a language detector of 1 MB.

    `vocabulary` is that of the models, where they share one. Synchronous and quick; long texts are
    read at their ends only. Safe from any thread.
    """

    def __init__(
        self,
        sizes: SizeSection | None = None,
        languages: LanguageSection | None = None,
        vocabulary: AnyVocabulary | None = None,
        tasks: TaskSection | None = None,
    ) -> None:
        self._sizes = sizes or SizeSection()
        self._shapes = ShapeReader()
        self._difficulty = DifficultyFinder()
        self._vocabulary = vocabulary or load_vocabularies().any
        languages = languages or LanguageSection()
        self._languages = LanguageFinder(languages.undecided_below)
        answers = AnswerLanguageFinder()
        self._expected = ExpectedLanguage(answers, self._languages)
        lexicons = load_lexicons()
        least = (tasks or TaskSection()).undecided_below
        self._tasks = TaskFinder(lexicons, shipped_model(), least)
        openings = openings_of(lexicons, answers)
        self._reader = Reader(self._languages, answers, openings, greetings_of(lexicons))

    def weigh(self, request: AnyRequest, hints: Sequence[str] = ()) -> Weighed:
        """Return what a request to any endpoint weighs; `hints` as for `weigh_chat`."""
        if isinstance(request, ChatRequest):
            return self.weigh_chat(request, hints)
        if isinstance(request, CompletionRequest):
            return self.weigh_completion(request, hints)
        if isinstance(request, EmbeddingRequest):
            return self.weigh_embedding(request)
        return self.weigh_rerank(request)

    def weigh_chat(self, request: ChatRequest, hints: Sequence[str] = ()) -> Weighed:
        """Return what a chat request weighs; the newest user turn leads.

        `hints` are languages that the request's headers name, the likeliest first.
        """
        turns = [m.text() for m in request.messages if m.role == "user"]
        systems = [m.text() for m in request.messages if m.role in ("system", "developer")]
        return self._weigh(turns, systems[:_MOST_SYSTEMS], self._shapes.read(request), hints)

    def weigh_completion(self, request: CompletionRequest, hints: Sequence[str] = ()) -> Weighed:
        """Return what a text completion weighs; token ids count but cannot be read."""
        return self._weigh(texts_of(request.prompt)[:1], (), self._shapes.read(request), hints)

    def weigh_embedding(self, request: EmbeddingRequest) -> Weighed:
        """Return what an embedding request weighs; the first text stands for all."""
        return self._weigh(texts_of(request.input)[:1], (), self._shapes.read(request))

    def weigh_rerank(self, request: RerankRequest | ScoreRequest) -> Weighed:
        """Return what a request for ranks or scores weighs; its first text stands for all."""
        return self._weigh(request.sides()[0][:1], (), self._shapes.read(request))

    def shape_of(self, request: AnyRequest) -> Shape:
        """Return what a request says without its words."""
        return self._shapes.read(request)

    def size_is_open(self, weighed: Weighed) -> bool:
        """Say whether a threshold of `sizes:` lies within the error of an estimate."""
        prompt = Estimate(weighed.prompt_tokens, weighed.prompt_tokens_error)
        return is_open(prompt, weighed.answer_tokens, self._sizes)

    def counted(self, weighed: Weighed, tokens: int) -> Weighed:
        """Return what a request weighs once an engine has counted its prompt's tokens."""
        return counted(weighed, tokens, self._sizes)

    def _weigh(
        self,
        turns: Sequence[str],
        systems: Sequence[str],
        shape: Shape,
        hints: Sequence[str] = (),
    ) -> Weighed:
        recent = [text for text in turns[: -_EARLIER_TURNS - 2 : -1] if text.strip()]
        starts = [plain(clip(system)[:_INSTRUCTION_CHARS]) for system in systems]
        rules = [(start, self._languages.find(start).language) for start in starts]
        told = NO_HINTS
        if hints or rules:
            told = Hints(tuple(hints), system=tuple(written for _, written in rules))
        read = self._read(recent[:_READ_TURNS], told)
        earlier = (self._reader.read(text, told) for text in recent[_READ_TURNS:])
        prompt = self._prompt_language(read, earlier)
        named = self._reader.named(read[0].text) if read else None
        task = self._task(read, named, shape)
        talk = Talk(read, recent, rules, tuple(hints))
        answer = self._expected.language(talk, named, prompt, task.name)
        prompt_tokens = estimate(shape.bulk, self._vocabulary, self._sizes.image_tokens)
        size = size_of(prompt_tokens, shape.answer_tokens, self._sizes)
        newest = self._newest(read, turns, shape)
        hard = self._difficulty.find(newest, task.name, len(turns) - 1, shape)
        return Weighed(
            task=task.name,
            language=answer.language,
            prompt_language=prompt.language,
            request_size=size.name,
            prompt_tokens=prompt_tokens.tokens,
            prompt_tokens_error=prompt_tokens.error,
            bulk=shape.bulk,
            answer_tokens=shape.answer_tokens,
            tools=shape.tools,
            images=shape.images,
            json_schema=shape.json_schema,
            likely_task=task.likely if task.name == UNDECIDED else task.name,
            task_confidence=round(task.confidence, 2),
            language_confidence=round(answer.confidence, 2),
            prompt_language_confidence=round(prompt.confidence, 2),
            request_size_confidence=size.confidence,
            difficulty=hard.value,
            difficulty_confidence=hard.confidence,
            whys={
                "task": task.reason,
                "prompt_language": prompt.reason,
                "language": answer.reason,
                "request_size": size.reason,
                "difficulty": hard.reason,
            },
        )

    def _read(self, recent: Sequence[str], told: Hints) -> list[Turn]:
        """Return the newest turns, read: of kin, the one that the talk is in is meant."""
        read: list[Turn] = []
        for text in reversed(recent):
            read.insert(0, self._reader.read(text, told))
            spoken = (read[0].found.language, *told.spoken)
            told = Hints(told.headers, spoken, told.system)
        return read

    def _newest(self, read: Sequence[Turn], turns: Sequence[str], shape: Shape) -> Counts:
        """Return what the newest turn is made of; where it is all there is, that is known."""
        if not read:
            return Counts()
        text, bulk = read[0].text.raw, shape.bulk
        if bulk.turns == 1 and not bulk.tools and text == turns[-1]:
            return Counts(bulk.signs)
        return self._shapes.counts(text)

    def _prompt_language(self, turns: Sequence[Turn], earlier: Iterable[Turn]) -> Found:
        """Return the newest turn's language; where it is too short to tell, an earlier one's.

        Turns that are `earlier` than the others are read where those tell nothing.
        """
        if not turns:
            return NOTHING
        newest = turns[0].found
        if newest.sure_of_family >= _SURE:  # it may be of one of several kin, but of no other
            return newest
        if newest.language != UNDECIDED and has_letters(turns[0].text.asked, _SHORT_LETTERS):
            return newest
        for turn in chain(turns[1:], earlier):
            if turn.found.language != UNDECIDED:
                why = f"the newest turn is too short to tell; before it: {turn.found.reason}"
                return Found(turn.found.language, turn.found.confidence, why)
        return newest

    def _task(self, turns: Sequence[Turn], named: str | None, shape: Shape) -> Task:
        if shape.task is not None:
            return shape.task
        texts = [turn.text for turn in turns]
        wanted = [self._reader.wanted(text, named) for text in texts[:1]]
        wanted += [self._reader.wanted(text, self._reader.named(text)) for text in texts[1:]]
        task = self._tasks.find(wanted)
        if task.name == UNDECIDED and shape.json_schema:
            return Task("extraction", "JSON is wanted back, and nothing else speaks", _SURE)
        return task
