from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conformance.capability import excused, honoured, streaming, whole
from conformance.chat import brief
from conformance.fields import shown
from conformance.registry import check, oracle
from conformance.reply import asked, dig
from conformance.schema import branches
from conformance.verdict import Inconclusive, Mismatch, NotApplicable

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.chat import Chat
    from conformance.explore import Explorer
    from conformance.reply import Reply
    from conformance.wire.exchange import Exchange
    from dialects import Dialect

Json = dict[str, Any]
TOKENS, FEW = 256, 4
RUN = 64
RUNAWAY = re.compile(rf"\s{{{RUN},}}|\d{{{RUN},}}")
ASKED = "Describe an imaginary city as a JSON object."


def _closed(properties: Json) -> Json:
    """An object with exactly these members."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


CITY = _closed({"name": {"type": "string"}, "inhabitants": {"type": "integer"}, "coastal": {"type": "boolean"}})
SHORT = _closed(
    {"size": {"enum": ["small", "large"]}, "districts": {"type": "integer"}, "coastal": {"type": "boolean"}}
)
RICH = {
    **_closed(
        {
            "kind": {"const": "city"},
            "size": {"enum": ["small", "large"]},
            "mayor": {"$ref": "#/$defs/person"},
            "rivers": {"type": "array", "items": {"enum": ["Elbe", "Oder"]}, "minItems": 1},
            "districts": {"type": "integer", "minimum": 41, "maximum": 49},
            "founded": {"anyOf": [{"type": "integer", "minimum": 1180, "maximum": 1189}, {"const": "unknown"}]},
        }
    ),
    "$defs": {"person": _closed({"name": {"type": "string"}, "known": {"type": "boolean"}})},
}
BOUNDED = _closed(
    {
        "districts": {"type": "integer", "minimum": 4_001, "maximum": 4_009},
        "gates": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
        "code": {"type": "string", "pattern": "^[A-C]{3}$"},
        "mark": {"type": "string", "minLength": 31, "maxLength": 33},
    }
)
HISTORY = [
    {"role": "system", "content": "You know many cities."},
    {"role": "user", "content": "Which city do you like?"},
    {"role": "assistant", "content": "An imaginary one."},
]
LEAVES = st.sampled_from(
    (
        {"type": "string"},
        {"type": "string", "enum": ["red", "blue", "\u00fcber"]},
        {"type": "integer"},
        {"type": "number"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}},
    )
)
NAMES = st.sampled_from(("name", "age", "size", "kind_of", "is-open", "x1"))
SCHEMAS = st.recursive(
    LEAVES, lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(_closed), max_leaves=4
)
OBJECTS = st.dictionaries(NAMES, SCHEMAS, min_size=1, max_size=3).map(_closed)


def _nested(levels: int) -> Json:
    schema: Json = {"type": "string"}
    for _ in range(levels):
        schema = _closed({"a": schema})
    return schema


UNUSABLE: dict[str, Any] = {
    "a type that nobody knows": {"type": "wonder"},
    "a reference to nowhere": {"$ref": "#/$defs/nowhere"},
    "a reference to itself": {"$ref": "#"},
    "a pattern that is no regular expression": _closed({"a": {"type": "string", "pattern": "(["}}),
    "properties that are no object": {"type": "object", "properties": 5},
    "an empty enumeration": _closed({"a": {"enum": []}}),
    "an integer that cannot be": _closed({"a": {"type": "integer", "minimum": 5, "maximum": 3}}),
    "128 levels": _nested(128),
    "a list in place of the schema": [],
}


def _format(chat: Chat, schema: Any, name: str = "answer") -> Json:  # noqa: ANN401 - unusable schemas too
    """The response_format of a schema; strict where the document knows the word, as only then fitting is promised."""
    strict = {"strict": True} if _knows_strict(chat.dialect) else {}
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, **strict}}


def _branches(chat: Chat) -> list[Json]:
    """The documented forms of response_format that have a type; those of the page alone, where it has any."""
    root = chat.dialect.schemas["request"]
    rule = root["properties"].get("response_format", {})
    forms = [branch for branch in branches(root, rule) if "type" in branch.get("properties", {})]
    return [form for form in forms if form.get("x-tier") != "extended"] or forms


def _knows_strict(dialect: Dialect) -> bool:
    """Whether the document has `strict` beside the schema."""
    root = dialect.schemas["request"]
    rule = root["properties"].get("response_format", {})
    inner = [branch.get("properties", {}).get("json_schema") for branch in branches(root, rule)]
    return any("strict" in b.get("properties", {}) for found in inner if found for b in branches(root, found))


def _promised(dialect: Dialect, form: Any) -> Any:  # noqa: ANN401 - JSON
    """The schema that text of this response_format fits by the document, or None where nothing is promised."""
    if not dialect.documents("response_format"):
        return None
    if dig(form, "type") == "json_object":
        return {"type": "object"}
    named = dig(form, "json_schema") if dig(form, "type") == "json_schema" else None
    if not isinstance(named, dict) or (_knows_strict(dialect) and named.get("strict") is not True):
        return None
    return named.get("schema")


def _formats(chat: Chat) -> list[str]:
    """The documented formats that promise JSON."""
    chat.offered("structured_output")
    known = [form["properties"]["type"].get("const") for form in _branches(chat)]
    promised = [name for name in known if name in KINDS]
    if not promised:
        raise NotApplicable("the document promises no JSON format")
    return promised


def _schema(chat: Chat) -> Json:
    return _format(chat, CITY)


def _object(_: Chat) -> Json:
    return {"type": "json_object"}


KINDS: dict[str, tuple[Callable[[Chat], Json], Json]] = {
    "json_schema": (_schema, CITY),
    "json_object": (_object, {"type": "object"}),
}


def _post(chat: Chat, form: Json, **fields: Any) -> Exchange:  # noqa: ANN401 - JSON
    return chat.post(chat.body(ASKED, tokens=TOKENS, response_format=form, **fields))


def _kept(reply: Reply, schema: Json) -> None:
    """Raise Mismatch unless every choice's text is JSON that fits; Inconclusive where an answer was cut on the way."""
    for choice in reply.choices:
        text = choice.text.strip()
        if choice.finish == "length":
            _begins(reply, text)
            raise Inconclusive(f"the answer was cut at {TOKENS} tokens, so its JSON is not complete: {shown(text)}")
        wrong = _misfit(text, schema)
        if wrong and choice.excuse:
            raise Inconclusive(f"{wrong}, and no wonder: {choice.excuse}")
        if wrong:
            raise Mismatch(f"text that is JSON and fits {shown(schema)}", wrong, reply.exchange)
    if not reply.choices:
        raise Mismatch("a choice with JSON text", brief(reply.exchange), reply.exchange)


def _begins(reply: Reply, text: str) -> None:
    """What was cut must still be the beginning of an object."""
    if text and not text.startswith("{"):
        raise Mismatch("text that begins as a JSON object", f"the text {shown(text)}", reply.exchange)


def _misfit(text: str, schema: Json) -> str | None:
    """Why the text is no JSON that fits the schema, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"{shown(text)}: {error}"
    problem = next(iter(Draft202012Validator(schema).iter_errors(value)), None)
    return f"{shown(text)}: {problem.message[:120]}" if problem is not None else None


@check("structured_output.json-schema", smoke=True)
def test_json_schema(chat: Chat, explore: Explorer) -> None:
    """With response_format json_schema the text is JSON that fits the schema, for schemas of every usual form."""
    chat.offered("structured_output")
    _kept(honoured(chat, _post(chat, _format(chat, CITY))), CITY)
    if explore.examples > 1:
        explore(OBJECTS, lambda schema: _drawn(chat, schema))


def _drawn(chat: Chat, schema: Json) -> None:
    """Judge the answer for one drawn schema; one that was refused or cut shows nothing."""
    exchange = _post(chat, _format(chat, schema))
    try:
        _kept(honoured(chat, exchange), schema)
    except Inconclusive:
        return


@check("structured_output.keywords")
def test_keywords(chat: Chat) -> None:
    """Constants, enumerations, references, alternatives, nested objects, bounds and patterns of a schema are kept, or refused."""
    if "json_schema" not in _formats(chat):
        raise NotApplicable("the document has no json_schema")
    judged = 0
    for schema in (RICH, BOUNDED):
        exchange = _post(chat, _format(chat, schema))
        if exchange.status is None or not 400 <= exchange.status < 500:
            _kept(honoured(chat, exchange), schema)
            judged += 1
    if not judged:
        raise Inconclusive("both schemas were refused")


@check("structured_output.together")
def test_together(chat: Chat) -> None:
    """A promised format holds in a conversation, at temperature 0, for each of two choices, with their log probabilities."""
    name = _formats(chat)[0]
    form, schema = KINDS[name]
    messages = [*HISTORY, {"role": "user", "content": ASKED}]
    body = chat.body(messages, tokens=TOKENS, response_format=form(chat), **_known(chat, {"temperature": 0, "n": 2}))
    exchange = chat.post(body | _known(chat, {"seed": 7, "logprobs": True}))
    _kept(honoured(chat, exchange if exchange.ok else chat.post(body)), schema)  # not everybody has log probabilities


def _known(chat: Chat, fields: Json) -> Json:
    """Those of the fields that the document has."""
    return {name: value for name, value in fields.items() if chat.dialect.documents(name)}


@check("structured_output.cut-short")
def test_cut_short(chat: Chat) -> None:
    """The token limit holds for JSON: text that it cuts does not say that it is whole."""
    name = _formats(chat)[0]
    form, schema = KINDS[name]
    reply = honoured(chat, chat.post(chat.body(ASKED, tokens=FEW, response_format=form(chat))))
    excused(reply.choice())
    if reply.finish == "stop" and _misfit(reply.text.strip(), schema):
        raise Mismatch(
            "finish reason 'length' for JSON that the limit cut", f"'stop': {shown(reply.text)}", reply.exchange
        )


@check("structured_output.json-object")
def test_json_object(chat: Chat) -> None:
    """With response_format json_object the text is a JSON object."""
    chat.offered("structured_output")
    _kept(honoured(chat, _post(chat, _object(chat))), {"type": "object"})


@check("structured_output.streamed")
def test_streamed(chat: Chat) -> None:
    """The joined deltas of a streamed answer keep what each documented format promises, the last for each of two choices."""
    names = _formats(chat)
    for name in names:
        form, schema = KINDS[name]
        fields = {"stream": True, **chat.asking_usage}
        exchange = _post(chat, form(chat), **fields, **(_known(chat, {"n": 2}) if name == names[-1] else {}))
        reply = streaming(chat, exchange if exchange.ok else _post(chat, form(chat), **fields))  # not everybody has n
        _kept(reply, schema)


@check("structured_output.bad-schema")
def test_bad_schema(chat: Chat) -> None:
    """A format or a schema that cannot be used is refused or ignored, in bounded time, and the next request is answered."""
    chat.offered("structured_output")
    bodies = {what: _format(chat, schema) for what, schema in UNUSABLE.items()}
    bodies |= {"a format that nobody knows": {"type": "no-such-format"}, "a format without a type": {}}
    for what, form in bodies.items():
        exchange = _post(chat, form)
        if exchange.status is None or exchange.status >= 500:
            raise Mismatch(f"a status below 500 for {what}", brief(exchange), exchange)
    alive = chat.post(chat.body())
    if not alive.ok:
        raise Mismatch("an answer after unusable schemas", brief(alive), alive)


@check("structured_output.bounded")
def test_bounded(chat: Chat) -> None:
    """JSON comes to its end by itself, without runs of white space or digits, a tool that must not be called on offer or not."""
    for name in _formats(chat):
        form = _format(chat, SHORT) if name == "json_schema" else _object(chat)
        exchange = _post(chat, form, **_unused_tool(chat))
        reply = honoured(chat, exchange if exchange.ok else _post(chat, form))  # not everybody has tools
        run = RUNAWAY.search(reply.text)
        if run:
            expected = f"JSON without a run of {RUN} or more spaces or digits"
            raise Mismatch(expected, f"{len(run[0])} characters, beginning {shown(run[0][:20])}", reply.exchange)
        if reply.finish == "length":
            _begins(reply, reply.text.strip())
            raise Inconclusive(f"the answer was cut at {TOKENS} tokens, though not by a run: {shown(reply.text)}")


def _unused_tool(chat: Chat) -> Json:
    """What offers a tool that is not to be called, where the document has such tools."""
    if not chat.dialect.documents("tool_choice"):
        return {}
    function = {"name": "get_time", "parameters": {"type": "object", "properties": {}}}
    return {"tools": [{"type": "function", "function": function}], "tool_choice": "none"}


@oracle("structured_output.kept")
def test_kept(reply: Reply, dialect: Dialect) -> None:
    """Any choice that came to its own end is JSON that fits the format of its request, whatever else was asked."""
    sent = asked(reply.exchange)
    schema = _promised(dialect, sent.get("response_format"))
    if schema is None or sent.get("stop") or schema in UNUSABLE.values():
        raise NotApplicable("no JSON was promised")
    whole(reply)
    said = [choice for choice in reply.choices if not choice.calls and not choice.declined]
    ended = [choice for choice in said if choice.finish == "stop"]
    for choice in ended:
        wrong = _misfit(choice.text.strip(), schema)
        if wrong:
            observed = f"in choice {choice.index}: {wrong}"
            raise Mismatch(f"text that is JSON and fits {shown(schema)}", observed, reply.exchange)
    if not ended:
        raise NotApplicable("no choice came to its own end")
