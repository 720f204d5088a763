"""python benchmarks/peers/sdk.py BASE_URL MODEL: eight calls through the official Python SDK, each with its assertions.

What somebody writes who tries a new provider with the client at hand. Prints one JSON object, a word for each call; exit
status 1 when one of them is not "pass". The key comes from CHAT_API_KEY.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import openai

if TYPE_CHECKING:
    from collections.abc import Callable

HELLO: Any = [{"role": "user", "content": "Say hello."}]
WEATHER: Any = [{"role": "user", "content": "How is the weather in Vienna?"}]
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": PLACE}}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PLACE, "strict": True}}


def must(condition: object, says: str) -> None:
    """Raise unless it holds."""
    if not condition:
        raise AssertionError(says)


def models(client: openai.OpenAI, model: str) -> None:
    """The list of models names the model."""
    must(model in [entry.id for entry in client.models.list()], "the model is not listed")


def plain(client: openai.OpenAI, model: str) -> None:
    """A whole answer has an id, text, a role, a reason and a usage that adds up."""
    answer = client.chat.completions.create(model=model, messages=HELLO)
    choice = answer.choices[0]
    must(answer.id and answer.object == "chat.completion" and answer.created > 0, "no id, object or time")
    must(choice.message.role == "assistant" and choice.message.content, "no text of the assistant")
    must(choice.finish_reason == "stop", f"finish_reason {choice.finish_reason!r}")
    used = answer.usage
    must(used and used.prompt_tokens > 0 and used.completion_tokens > 0, "no usage")
    must(used and used.total_tokens == used.prompt_tokens + used.completion_tokens, "the total is no sum")


def stream(client: openai.OpenAI, model: str) -> None:
    """A stream has text and one reason to end, and with include_usage one usage."""
    text, reasons, usages, ids = "", [], [], set()
    asked: Any = {"include_usage": True}
    for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True, stream_options=asked):
        ids.add(chunk.id)
        usages += [chunk.usage] if chunk.usage else []
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    must(text, "no text")
    must(reasons == ["stop"], f"finish reasons {reasons}")
    must(len(usages) == 1 and usages[0].completion_tokens > 0, f"{len(usages)} usages")
    must(len(ids) == 1, f"ids {sorted(ids)}")


def same(client: openai.OpenAI, model: str) -> None:
    """At temperature 0 with a seed a stream says what the whole answer says."""
    asked: Any = {"model": model, "messages": HELLO, "temperature": 0, "seed": 7}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    pieces = [
        c.choices[0].delta.content or "" for c in client.chat.completions.create(**asked, stream=True) if c.choices
    ]
    must("".join(pieces) == whole, "the stream says something else")


def limit(client: openai.OpenAI, model: str) -> None:
    """One token is one token, and the reason is the limit."""
    answer = client.chat.completions.create(model=model, messages=HELLO, max_completion_tokens=1)
    must(answer.choices[0].finish_reason == "length", f"finish_reason {answer.choices[0].finish_reason!r}")
    must(answer.usage and answer.usage.completion_tokens == 1, "more than one token")


def tools(client: openai.OpenAI, model: str) -> None:
    """A function that must be called is, with arguments that are JSON, and its result is taken."""
    answer = client.chat.completions.create(model=model, messages=WEATHER, tools=[TOOL], tool_choice="required")
    choice = answer.choices[0]
    must(choice.finish_reason == "tool_calls" and choice.message.tool_calls, "no call")
    call: Any = (choice.message.tool_calls or [])[0]
    must(call.id and call.type == "function" and call.function.name == "get_weather", "another call")
    must(isinstance(json.loads(call.function.arguments)["city"], str), "arguments without the city")
    result = {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}
    said = [*WEATHER, choice.message.model_dump(exclude_none=True), result]
    must(client.chat.completions.create(model=model, messages=said, tools=[TOOL]).choices[0].message.content, "no text")


def structured(client: openai.OpenAI, model: str) -> None:
    """A JSON schema is kept."""
    answer = client.chat.completions.create(model=model, messages=WEATHER, response_format=FORM)
    document = json.loads(answer.choices[0].message.content or "")
    must(list(document) == ["city"] and isinstance(document["city"], str), f"{document}")


def errors(client: openai.OpenAI, model: str) -> None:
    """A bad key, an unknown model and a temperature of 9 are refused as their own kinds of error."""
    wrong: Any = [
        (openai.AuthenticationError, client.with_options(api_key="sk-wrong"), {"model": model}),
        (openai.NotFoundError, client, {"model": "no-such-model"}),
        (openai.BadRequestError, client, {"model": model, "temperature": 9}),
    ]
    for kind, caller, asked in wrong:
        try:
            caller.chat.completions.create(messages=HELLO, **asked)
        except kind as error:
            must(error.body and error.body.get("message"), "an error without a message")
        else:
            must(False, f"{asked} was answered")


CALLS: tuple[Callable[[openai.OpenAI, str], None], ...] = (
    models,
    plain,
    stream,
    same,
    limit,
    tools,
    structured,
    errors,
)


def main() -> int:
    """Call, print, count."""
    client = openai.OpenAI(base_url=sys.argv[1], api_key=os.environ["CHAT_API_KEY"], max_retries=0, timeout=15)
    said = {}
    for call in CALLS:
        try:
            call(client, sys.argv[2])
            said[call.__name__] = "pass"
        except Exception as error:  # noqa: BLE001 - whatever comes up, the call did not go well
            said[call.__name__] = f"{type(error).__name__}: {error}"[:200]
    print(json.dumps(said))
    return int(set(said.values()) != {"pass"})


if __name__ == "__main__":
    sys.exit(main())
