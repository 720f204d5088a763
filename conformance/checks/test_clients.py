from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from functools import cache
from typing import TYPE_CHECKING, Any

from conformance.capability import excused
from conformance.chat import HI
from conformance.fields import shown
from conformance.registry import check
from conformance.verdict import Conclusion, Inconclusive, Mismatch, Untested
from conformance.wire.client import BudgetSpent, trust

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conformance.chat import Chat
    from conformance.reply import Reply

# The clients send by themselves: what they did can't be recorded, so that a finding quotes what the client said.
Json = dict[str, Any]
TOKENS = 16
WRONG_KEY = "chat-conformance-no-such-key"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
NODE_SECONDS = 120
NODE = """
const { OpenAI } = require('openai');
const asked = JSON.parse(process.env.CHAT_CONFORMANCE_ASKED);
const client = new OpenAI({ baseURL: asked.base, maxRetries: 0 });
(async () => {
  const whole = await client.chat.completions.create(asked.body);
  let text = '';
  for await (const chunk of await client.chat.completions.create({ ...asked.body, stream: true })) {
    text += chunk.choices?.[0]?.delta?.content ?? '';
  }
  console.log(JSON.stringify({ whole: whole.choices[0].message.content, streamed: text }));
})().catch((error) => { console.log(JSON.stringify({ error: String(error) })); process.exitCode = 1; });
"""


def _bases(chat: Chat) -> Iterator[str]:
    """Each documented base URL of the clients."""
    for path in chat.dialect.paths.sdk_base:
        yield chat.target.at(path).rstrip("/")


def _asking(chat: Chat) -> Json:
    """The documented example: a model, one message of a user, and a bound on the answer."""
    messages = [{"role": "user", "content": HI}]
    bound = {chat.limit: chat.room(TOKENS)} if chat.limit else {}
    return {"model": chat.target.model, "messages": messages, **bound}


def _hidden(chat: Chat, text: str) -> str:
    return text.replace(chat.target.key, "***") if chat.target.key else text


def _spoken(text: Any, whence: str, ask: Callable[[], Reply]) -> None:  # noqa: ANN401 - whatever the client made of it
    """Raise Mismatch where the client found no text; Inconclusive where the suite's own reader finds none and an excuse."""
    if isinstance(text, str) and text:
        return
    excused(ask().choice())
    raise Mismatch(f"text in {whence}", shown(text))


def _with_python(chat: Chat, base: str, use: Callable[[Any], None], key: str | None = None) -> None:
    """Run `use` with the official Python client; what the client raises is a Mismatch."""
    try:
        import openai
    except ImportError:
        raise Untested("needs the official Python client: pip install openai") from None
    key = key or chat.target.key or "no-key"
    try:
        http, total = openai.DefaultHttpxClient(verify=trust()), chat.profile.timeouts.total
        with openai.OpenAI(base_url=base, api_key=key, http_client=http, max_retries=0, timeout=total) as client:
            use(client)
    except openai.RateLimitError as error:
        raise Inconclusive(f"the client met a rate limit: {_hidden(chat, str(error))[:160]}") from None
    except (Mismatch, Conclusion, BudgetSpent):
        raise
    except Exception as error:  # noqa: BLE001 - what it can't read, the client raises in the words of many libraries
        said = f"{type(error).__name__}: {_hidden(chat, str(error))[:300]}"
        raise Mismatch(f"an answer that the official Python client reads, with base_url {base}", said) from None


@check("clients.openai-python")
def test_openai_python(chat: Chat) -> None:
    """The official Python client, with a documented base URL, reads a plain answer, a tool call and a refusal."""
    for base in _bases(chat):
        _with_python(chat, base, lambda client: _read_plain(chat, client))
        if chat.dialect.documents("tool_choice") and chat.profile.offers("tools") is not False:
            _with_python(chat, base, lambda client: _read_call(chat, client))
        if chat.target.key and chat.dialect.auth.required:
            _with_python(chat, base, lambda client: _read_refusal(chat, client), WRONG_KEY)


def _read_plain(chat: Chat, client: Any) -> None:  # noqa: ANN401 - openai.OpenAI, imported only when it is there
    completion = client.chat.completions.create(**_asking(chat))
    _spoken(completion.choices[0].message.content, "choices[0].message.content", chat.plain)
    completion.model_dump_json()
    usage = completion.usage
    if usage is not None and usage.total_tokens != usage.prompt_tokens + usage.completion_tokens:
        raise Mismatch("usage with total_tokens as the sum of the others", repr(usage))


def _read_call(chat: Chat, client: Any) -> None:  # noqa: ANN401 - openai.OpenAI
    import openai

    asked = {**_asking(chat), "tools": [WEATHER], "tool_choice": NAMED, **({chat.limit: 256} if chat.limit else {})}
    asked["model"] = chat.profile.models.get("tools", chat.target.model)
    try:
        choice = client.chat.completions.create(**asked).choices[0]
    except (openai.BadRequestError, openai.UnprocessableEntityError):
        return  # refused cleanly: the rows on tools judge that
    if choice.finish_reason == "length":
        return
    calls = choice.message.tool_calls or []
    if not calls and choice.message.content:
        return  # text instead of a call, and the client read it: the rows on tool_choice judge that
    if not calls or calls[0].function.name != "get_weather":
        raise Mismatch("a call of get_weather in message.tool_calls", repr(choice.message)[:300])
    json.loads(calls[0].function.arguments)


def _read_refusal(chat: Chat, client: Any) -> None:  # noqa: ANN401 - openai.OpenAI
    import openai

    documented = chat.dialect.cause("bad_key")
    statuses = documented.status if documented else (401, 403)
    try:
        client.chat.completions.create(**_asking(chat))
    except openai.APIStatusError as error:
        if error.status_code not in statuses:
            raise Mismatch(f"status {' or '.join(map(str, statuses))} for a wrong key", str(error)[:300]) from None
        return
    raise Mismatch("an error that the client raises for a wrong key", "an answer")


@check("clients.openai-python-stream")
def test_openai_python_stream(chat: Chat) -> None:
    """The official Python client, with a documented base URL, reads a stream to its end, and its usage when asked for."""
    for base in _bases(chat):
        _with_python(chat, base, lambda client: _read_stream(chat, client))


def _read_stream(chat: Chat, client: Any) -> None:  # noqa: ANN401 - openai.OpenAI
    counted = chat.dialect.documents("stream_options") and chat.dialect.stream.usage == "on_request"
    options = {"stream_options": {"include_usage": True}} if counted else {}
    text, usages = "", []
    for chunk in client.chat.completions.create(**_asking(chat), stream=True, **options):
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usages += [chunk.usage] if getattr(chunk, "usage", None) is not None else []
    _spoken(text, "the deltas of the stream", chat.streamed)
    if counted and not usages:
        raise Mismatch("a chunk with usage, as stream_options asks", "none")


@check("clients.openai-node")
def test_openai_node(chat: Chat) -> None:
    """The official Node client, with a documented base URL, reads a plain and a streamed answer."""
    node = _node()
    for base in _bases(chat):
        result = _run(chat, node, base)
        if "error" in result:
            said = _hidden(chat, str(result["error"]))[:300]
            raise Mismatch(f"answers that the official Node client reads, with baseURL {base}", said)
        _spoken(result.get("whole"), "choices[0].message.content, read by the Node client", chat.plain)
        _spoken(result.get("streamed"), "the deltas of the stream, read by the Node client", chat.streamed)


def _node() -> str:
    """The path of node, once it finds the client; Untested otherwise."""
    node = shutil.which("node")
    if node is None:
        raise Untested("needs Node.js: install it and, in some folder, npm install openai; then set NODE_PATH")
    if not _finds_client(node, os.environ.get("NODE_PATH")):
        raise Untested("needs the official Node client: npm install openai, and NODE_PATH set to that node_modules")
    return node


@cache
def _finds_client(node: str, _path: str | None) -> bool:
    """Whether node finds the client, on the path that it is given in the environment; asked once, as it takes a while."""
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run(  # noqa: S603 - our own line, no input of others
            [node, "-e", "require.resolve('openai')"],
            cwd=folder,
            capture_output=True,
            timeout=NODE_SECONDS,
            check=False,
        )
    return found.returncode == 0


def _run(chat: Chat, node: str, base: str) -> Json:
    """What the script printed: the two texts, or the error."""
    asked = json.dumps({"base": base, "body": _asking(chat)})
    kept = {name: os.environ[name] for name in ("PATH", "NODE_PATH", "SYSTEMROOT") if name in os.environ}
    environment = {**kept, "OPENAI_API_KEY": chat.target.key or "no-key", "CHAT_CONFORMANCE_ASKED": asked}
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(  # noqa: S603 - our own script; what is asked travels in the environment
                [node, "-e", NODE],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=NODE_SECONDS,
                check=False,
            )
    except subprocess.TimeoutExpired:
        return {"error": f"no end within {NODE_SECONDS} s"}
    try:
        result: Json = json.loads(done.stdout)
    except ValueError:
        return {"error": done.stderr.strip()[-300:] or "nothing was printed"}
    return result
