"""Every mutant of a dialect, made from what its correct answers look like."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmarks.mutants.events import STREAMS, frames, joined
from benchmarks.mutants.operators import OPERATORS, Path, applicable, change, paths
from benchmarks.mutants.proxy import kind
from benchmarks.mutants.whole import BYTES, HTTP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.mutants.message import Answer, Question

__all__ = ["Learned", "Mutant", "mutants"]

KINDS = ("body", "chunk", "error", "models")
WHOLE = ("body", "error", "models", "stream")
PREFIX = b"data: "
IGNORED = ("content-length", "transfer-encoding", "content-type", "date", "connection", "server")
HEADERS: dict[str, Any] = {
    "header-delete": None,
    "header-empty": "",
    "header-nonsense": "nonsense",
    "header-negative": "-1",
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be wrong: in answers of this kind, this operator, at this path (of JSON, or of a header's name)."""

    kind: str
    operator: str
    path: Path = ()

    @property
    def name(self) -> str:
        """As it is listed: `body:null:choices.[].index`."""
        return ":".join(part for part in (self.kind, self.operator, ".".join(self.path)) if part)

    def spoil(self, question: Question, answer: Answer) -> Answer:
        """The answer, spoiled if it is of the kind and has what the operator changes."""
        found = kind(question, answer)
        if found != self.kind and not (self.kind == "chunk" and found == "stream"):
            return answer
        if self.operator in HEADERS:
            return self._header(answer)
        if self.path:
            return self._chunks(answer) if self.kind == "chunk" else self._document(answer)
        if self.operator.startswith("event-"):
            changed = joined(STREAMS[self.operator.removeprefix("event-")](frames(answer.body)))
            return answer if changed == answer.body else replace(answer, body=changed)
        return (BYTES.get(self.operator) or HTTP[self.operator])(answer)

    def _header(self, answer: Answer) -> Answer:
        if not any(name.lower() == self.path[0] for name, _ in answer.headers):
            return answer
        kept = tuple((name, value) for name, value in answer.headers if name.lower() != self.path[0])
        value = HEADERS[self.operator]
        return replace(answer, headers=kept if value is None else (*kept, (self.path[0], value)))

    def _document(self, answer: Answer) -> Answer:
        try:
            document = json.loads(answer.body)
        except ValueError:
            return answer
        changed = change(document, self.path, self.operator)
        return answer if changed is document else replace(answer, body=_dumps(changed))

    def _chunks(self, answer: Answer) -> Answer:
        parts = [self._frame(frame) for frame in frames(answer.body)]
        body = joined(parts)
        return answer if body == answer.body else replace(answer, body=body)

    def _frame(self, frame: bytes) -> bytes:
        data = frame.removeprefix(PREFIX)
        if not data.startswith(b"{"):
            return frame
        document = json.loads(data)
        changed = change(document, self.path, self.operator)
        return frame if changed is document else PREFIX + _dumps(changed)


@dataclass
class Learned:
    """What correct answers had: by kind, each path of their JSON with a value of every type seen, and header names."""

    values: dict[str, dict[Path, dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    headers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def see(self, question: Question, answer: Answer) -> Answer:
        """Take one correct answer, and pass it on."""
        found = kind(question, answer)
        self.headers[found] |= {name.lower() for name, _ in answer.headers} - set(IGNORED)
        for document in _documents(found, answer):
            for path, value in paths(document):
                self.values["chunk" if found == "stream" else found][path].setdefault(type(value).__name__, value)
        return answer


def mutants(learned: Learned) -> Iterator[Mutant]:
    """Every mutant of these answers, in a fixed order."""
    for name in KINDS:
        for path, values in sorted(learned.values[name].items()):
            for operator in OPERATORS:
                if any(applicable(operator, value) for value in values.values()):
                    yield Mutant(name, operator, path)
    yield from (Mutant("stream", f"event-{act}") for act in STREAMS if learned.values["chunk"])
    for name in WHOLE:
        if learned.headers[name]:
            yield from (Mutant(name, act) for act in BYTES if name != "stream")
            yield from (Mutant(name, act) for act in HTTP)
            yield from (Mutant(name, act, (header,)) for header in sorted(learned.headers[name]) for act in HEADERS)


def _documents(found: str, answer: Answer) -> Iterator[Any]:
    bodies = frames(answer.body) if found == "stream" else [answer.body]
    for body in bodies:
        try:
            yield json.loads(body.removeprefix(PREFIX))
        except ValueError:
            continue


def _dumps(document: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
