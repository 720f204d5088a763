"""A small chat service for tests of checks: answers as documented, until a test alters what it says.

`Service(alter)` serves on a free port of this machine. `alter` may have: `refuse(asked, key, number)` for a
(status, body) instead of an answer, `whole(asked, body)` and `chunks(asked, chunks)` for another answer, and
`headers(number)` for more headers; `number` counts the requests from 0. Images cost 10 prompt tokens each and are opened
unless `opens_images` is False; `models` is the list of models and `one(name, model)` may change what is looked up in it.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import threading
import uuid
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MODEL", "Alter", "Service", "error", "model"]

Json = dict[str, Any]
MODEL = "small-model"
Refusal = tuple[int, Any]


@dataclass
class Alter:
    """What a test changes; nothing by default."""

    refuse: Callable[[Json, str, int], Refusal | None] = lambda _asked, _key, _number: None
    whole: Callable[[Json, Json], Json] = lambda _asked, body: body
    chunks: Callable[[Json, list[Json]], list[Json]] = lambda _asked, chunks: chunks
    headers: Callable[[int], dict[str, str]] = lambda _number: {}
    models: Json = field(default_factory=lambda: {"object": "list", "data": [model(MODEL)]})
    one: Callable[[str, Json | None], Json | None] = lambda _name, model: model
    opens_images: bool = True


class Service:
    """The service while the `with` block lasts; `url` is its base, `asked` what it was asked so far."""

    def __init__(self, alter: Alter | None = None) -> None:
        self.alter = alter or Alter()
        self.asked: list[Json] = []
        self.numbers = itertools.count()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def respond(self, asked: Any, key: str) -> tuple[int, dict[str, str], bytes]:  # noqa: ANN401 - any JSON value
        """Status, headers and body of an answer."""
        number = next(self.numbers)
        more = self.alter.headers(number)
        refusal = _mistake(asked, opens_images=self.alter.opens_images) or self.alter.refuse(asked, key, number)
        if refusal:
            return refusal[0], {**more, "content-type": "application/json"}, json.dumps(refusal[1]).encode()
        self.asked.append(asked)
        body = self.alter.whole(asked, _completion(asked, number))
        if not asked.get("stream"):
            return 200, {**more, "content-type": "application/json"}, json.dumps(body).encode()
        chunks = self.alter.chunks(asked, _chunks(body))
        text = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        return 200, {**more, "content-type": "text/event-stream"}, text.encode()


def model(name: str) -> Json:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "tests"}


def error(message: str) -> Json:
    """The body of a refusal."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def _mistake(asked: Any, *, opens_images: bool) -> Refusal | None:  # noqa: ANN401 - any JSON value
    if not isinstance(asked, dict) or not isinstance(asked.get("messages"), list):
        return 400, error("messages: a list is expected")
    for uri in _images(asked) if opens_images else []:
        try:
            Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2], validate=True))).load()
        except (OSError, ValueError, SyntaxError):
            return 400, error("image_url: no image")
    return None


def _images(asked: Json) -> list[str]:
    contents = [message["content"] for message in asked["messages"] if isinstance(message["content"], list)]
    urls = [part["image_url"] for content in contents for part in content if part["type"] == "image_url"]
    return [url if isinstance(url, str) else url["url"] for url in urls]


def _completion(asked: Json, number: int) -> Json:
    message, finish = _message(asked, number)
    choice: Json = {"index": 0, "message": message, "finish_reason": finish, "logprobs": _logprobs(asked, message)}
    several = [{**deepcopy(choice), "index": n, "completion_id": str(uuid.uuid4())} for n in range(asked.get("n") or 1)]
    prompt = 9 + 10 * len(_images(asked)) + len(str(asked["messages"])) // 8
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked["model"],
        "session_id": asked.get("session_id") or str(uuid.uuid4()),
        "choices": several,
        "usage": {"prompt_tokens": prompt, "completion_tokens": 5, "total_tokens": prompt + 5},
    }


def _message(asked: Json, number: int) -> tuple[Json, str]:
    calls = _calls(asked)
    if calls:
        return {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
    return {"role": "assistant", "content": _text(asked, number)}, "stop"


def _text(asked: Json, number: int) -> str:
    form = asked.get("response_format", {})
    if form.get("type") == "json_schema":
        return json.dumps(_instance(form["json_schema"]["schema"]))
    if form.get("type") == "json_object":
        return '{"city": "Atlantis"}'
    if _images(asked):
        return "I see a picture."
    lucky = asked.get("temperature") != 0 and asked.get("seed") is None
    return f"Hello {number}!" if lucky else f"Hello {asked.get('seed')}!"


def _calls(asked: Json) -> list[Json]:
    choice, tools = asked.get("tool_choice", "auto"), asked.get("tools") or []
    named = choice["function"]["name"] if isinstance(choice, dict) else None
    offered = [tool["function"] for tool in tools if "function" in tool and named in (None, tool["function"]["name"])]
    if choice == "none" or not offered or asked["messages"][-1]["role"] == "tool":
        return []
    count = 2 if "both" in str(asked["messages"]) and asked.get("parallel_tool_calls", True) else 1
    return [_call(offered[0], n) for n in range(count)]


def _call(function: Json, number: int) -> Json:
    arguments = json.dumps(_instance(function.get("parameters", {})))
    return {"id": f"call_{number}", "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _instance(schema: Any, known: Json | None = None) -> Any:  # noqa: ANN401 - any JSON value
    """Something that fits a schema of the forms that checks send; `known` are the definitions that it refers to."""
    if not isinstance(schema, dict):
        return {}
    known = known or schema.get("$defs", {})
    other = known.get(str(schema.get("$ref", "")).removeprefix("#/$defs/")) or next(iter(schema.get("anyOf", ())), None)
    if other:
        return _instance(other, known)
    values = [schema["const"]] if "const" in schema else ["ABC"] if "pattern" in schema else schema.get("enum")
    if values:
        return values[0]
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        return {name: _instance(member, known) for name, member in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_instance(schema["items"], known)] * schema.get("minItems", 1)
    return {
        "string": "Paris".ljust(schema.get("minLength", 5), "s"),
        "integer": schema.get("minimum", 3),
        "number": 1.5,
        "boolean": True,
    }.get(schema.get("type", ""), {})


def _logprobs(asked: Json, message: Json) -> Json | None:
    if not asked.get("logprobs") or not message["content"]:
        return None
    return {"content": [_scored(word, asked.get("top_logprobs") or 0) for word in message["content"].split(" ")]}


def _scored(word: str, top: int) -> Json:
    entries = [_entry(" " + word, -0.5), _entry(" other", -1.5)]
    return {**entries[0], "top_logprobs": entries[:top]}


def _entry(text: str, logprob: float) -> Json:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _chunks(body: Json) -> list[Json]:
    """The same answer in pieces, one choice after the other."""
    return [chunk for choice in body["choices"] for chunk in _pieces(body, choice)]


def _pieces(body: Json, choice: Json) -> list[Json]:
    """A choice in pieces: the role, the text or each call in two, the finish."""
    message = choice["message"]
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    if message.get("content"):
        deltas.append({"content": message["content"]})
    for index, call in enumerate(message.get("tool_calls") or []):
        function = call["function"]
        deltas.append({"tool_calls": [{**call, "index": index, "function": {**function, "arguments": ""}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": function["arguments"]}}]})
    chunks = [_chunk(body, choice["index"], delta, None) for delta in deltas]
    chunks[-1]["choices"][0]["logprobs"] = choice.get("logprobs")
    return [*chunks, _chunk(body, choice["index"], {}, choice["finish_reason"])]


def _chunk(body: Json, index: int, delta: Json, finish: str | None) -> Json:
    head: Json = {name: body[name] for name in ("id", "created", "model", "session_id") if name in body}
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {**head, "object": "chat.completion.chunk", "choices": [choice]}


def _handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            listed = service.alter.models
            _, _, name = self.path.partition("/models/")
            found = next((model for model in listed["data"] if model["id"] == name), None)
            body = service.alter.one(name, found) if name else listed
            self._send(404 if body is None else 200, {}, json.dumps(body or error("no such model")).encode())

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            key = (self.headers["authorization"] or "").removeprefix("Bearer ")
            self._send(*service.respond(json.loads(data), key))

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers, "content-length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
