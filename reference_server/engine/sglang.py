"""SGLang in this process: its scheduler and detokenizer are children, its tokenizer manager shares our event loop.

The only module that imports sglang. Every choice of a request is a request of its own to SGLang, so that choices have their
own seeds and end on their own; the prompt is computed once, because SGLang finds it in its cache. When a child dies every
running answer ends with ApiError(unavailable), and so does every later one: the process must be started again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reference_server.engine import ChatRequest, Finish, Message, Usage, images, sglang_family, sglang_options
from reference_server.engine import sglang_request as ask
from reference_server.engine.sglang_calls import Arguments, CallList, Emitter
from reference_server.engine.sglang_choice import Calling, Choice, Free, Plain
from reference_server.engine.sglang_options import EngineError
from reference_server.engine.sglang_prompt import Prompter
from reference_server.engine.sglang_request import Total
from reference_server.engine.sglang_schema import parameters
from reference_server.engine.sglang_seed import SeededDraw
from reference_server.engine.sglang_vocabulary import Vocabulary
from reference_server.errors import ApiError

sglang_options.prepare_environment(cpu=sglang_options.on_cpu())

from sglang import Engine  # noqa: E402 - what it loads reads the environment
from sglang.srt.entrypoints.openai.protocol import Function  # noqa: E402 - as above
from sglang.srt.entrypoints.openai.protocol import Tool as SglangTool  # noqa: E402 - as above
from sglang.srt.function_call.function_call_parser import FunctionCallParser  # noqa: E402 - as above
from sglang.srt.parser.reasoning_parser import ReasoningParser  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from reference_server.engine import Event, Json, Tool

__all__ = ["SglangEngine"]

log = logging.getLogger("reference_server")
PUBLISHED = ("num_running_reqs", "num_waiting_reqs", "num_used_tokens")
LOOK = 1.0  # seconds between two looks at whether SGLang's processes live
LONG = 20_000  # characters of a conversation that are not tokenised on the event loop
WARM_UP = ChatRequest(model="", messages=(Message("user", "Say hi"),), max_tokens=4, temperature=0.0)
WARM_UP_SCHEMA: Json = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


class SglangEngine:
    """Serves one model. Create it in the main thread before an event loop runs; `given` are SGLang's server arguments."""

    def __init__(self, model: str, given: Mapping[str, Any] | None = None) -> None:
        sglang_options.check_model(model)
        given = given or {}
        self.models = (str(given.get("served_model_name") or Path(model).name),)
        cpu = sglang_options.on_cpu()
        if cpu:
            sglang_options.share_cores(given)
        self._sglang = _launched(sglang_options.arguments(model, given, cpu=cpu))
        self._manager = self._sglang.tokenizer_manager
        tokenizer = self._manager.tokenizer
        if not isinstance(tokenizer.chat_template, str):
            self._sglang.shutdown()
            raise EngineError(
                f"--model {model}: its tokenizer has no chat template; --engine-arg chat_template=FILE gives one"
            )
        self._sees = bool(self._manager.model_config.is_multimodal)
        self._prompter = Prompter.of(tokenizer, self._manager.model_config.hf_config if self._sees else None)
        self._vocabulary = Vocabulary(tokenizer)
        self._parsers = _Parsers.of(self._sglang.server_args, tokenizer)
        self._window = min(int(self._manager.context_len), int(self._manager.max_req_input_len))
        # How many tokens an image takes only SGLang knows, so only it can shorten an answer to what room is left.
        self._manager.validate_total_tokens = False
        own_seeds = bool(self._sglang.server_args.enable_deterministic_inference)
        self._draw = None if own_seeds else json.dumps({"callable": pickle.dumps(SeededDraw).hex()})
        self._failure: str | None = None
        self._watch: asyncio.Task[None] | None = None
        self._running: set[asyncio.Queue[Any]] = set()

    async def start(self) -> None:
        """Answer twice, once under a grammar, so that the first client does not pay for what is loaded on demand."""
        self._manager.signal_handler_class = lambda _: _Signals(self._died)
        for request in (WARM_UP, ChatRequest(**{**_fields(WARM_UP), "schema": WARM_UP_SCHEMA, "max_tokens": 16})):
            try:
                async for _ in self.generate(request):
                    pass
            except ApiError as error:
                raise EngineError(f"SGLang did not answer its first request: {error}") from error
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)  # the server ends us, after its answers
        self._watch = asyncio.create_task(self._watch_over(sglang_family.workers(os.getpid())))

    async def close(self) -> None:
        """End SGLang's processes and the tasks that it left in our loop."""
        if self._watch:
            self._watch.cancel()
        warnings.filterwarnings(
            "ignore", "Future .* completed while awaiting", RuntimeWarning
        )  # of a read that we cancel
        for task in list(self._manager.asyncio_tasks):
            task.cancel()
        await asyncio.to_thread(self._sglang.shutdown)

    def check(self) -> None:
        """Raise ApiError(unavailable) once a process of SGLang has died."""
        if self._failure:
            raise ApiError("unavailable", self._failure, retry_after=1)

    async def load(self) -> dict[str, int]:
        """What SGLang's schedulers last published, summed, and what we still wait for."""
        snapshots = await self._manager.get_loads()
        counted = {name: sum(int(getattr(each, name)) for each in snapshots) for name in PUBLISHED}
        ours = {"answers": len(self._running), "requests": len(self._manager.rid_to_state)}
        return {**counted, **ours, "tasks": len(asyncio.all_tasks())}

    def count_tokens(self, request: ChatRequest) -> int:
        """How many tokens the prompt of this request has."""
        return len(self._prompter.tokens(request))

    async def generate(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """The events of one answer. Raises ApiError: unavailable, context_overflow, bad_image, out_of_range (a schema)."""
        self._check(request)
        prompt = await self._prompt(request)
        limit = self._limit(request, prompt)
        if not limit:
            for number in range(request.n):
                yield Finish(number, "length")
            yield Usage(len(prompt), 0)
            return
        choices = [self._choice(request, number) for number in range(request.n)]
        calls = self._calls(request, prompt, limit)
        total = Total(len(prompt))
        outputs: asyncio.Queue[Any] = asyncio.Queue()
        tasks = [asyncio.create_task(self._pump(outputs, number, call)) for number, call in enumerate(calls)]
        self._running.add(outputs)
        try:
            while not all(choice.done for choice in choices):
                number, output = await outputs.get()
                self.check()
                if not choices[number].done:
                    for event in choices[number].feed(_checked(output)):
                        yield event
                    total.add(output["meta_info"])
                if choices[number].done:
                    tasks[number].cancel()
            yield total.usage(choices)
        finally:
            self._running.discard(outputs)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, outputs: asyncio.Queue[Any], number: int, call: Json) -> None:
        """Pass on what SGLang says of one choice, its failure included."""
        try:
            async for output in await self._sglang.async_generate(**call):
                outputs.put_nowait((number, output))
        except Exception as error:  # noqa: BLE001 - it is raised again where the answer is made
            outputs.put_nowait((number, error))
        else:
            outputs.put_nowait((number, RuntimeError("SGLang ended an answer without a reason")))

    def _check(self, request: ChatRequest) -> None:
        self.check()
        seen = ask.shown(request)
        if seen and not self._sees:
            raise ApiError("bad_image", "messages: this model reads text only, and an image was sent", "messages")
        for uri in seen:
            images.describe(uri)
        if request.schema is False:
            raise ApiError("out_of_range", f"{request.schema_field}: no document satisfies false", request.schema_field)

    async def _prompt(self, request: ChatRequest) -> list[int]:
        if sum(len(message.text) for message in request.messages) > LONG:
            return await asyncio.to_thread(self._prompter.tokens, request)
        return self._prompter.tokens(request)

    def _limit(self, request: ChatRequest, prompt: list[int]) -> int:
        """The most tokens that one choice may have: what was asked for, as far as the window has room."""
        room = self._window - len(prompt)
        if room <= 0:
            raise ApiError(
                "context_overflow", f"messages: {len(prompt)} tokens; the window holds {self._window}", "messages"
            )
        return room if request.max_tokens is None else min(room, request.max_tokens)

    def _calls(self, request: ChatRequest, prompt: list[int], limit: int) -> list[Json]:
        """The arguments of SGLang's call for each choice."""
        call: Json = {"input_ids": prompt, "stream": True, **ask.extras(request)}
        if self._parsers.reasoning:
            call["require_reasoning"] = True
        if self._draw and ask.draws(request):
            call["custom_logit_processor"] = self._draw
        if seen := ask.shown(request):
            call.update(prompt=self._prompter.text(request), input_ids=None, image_data=seen)
        grammar = self._grammar(request)
        params = [{**ask.sampling(request, number, limit), **grammar} for number in range(request.n)]
        return [{**call, "sampling_params": each} for each in params]

    def _grammar(self, request: ChatRequest) -> Json:
        """The one grammar that holds the answer, if any."""
        if schema := ask.schema(request):
            return {"json_schema": schema}
        return self._parsers.tag(request.tools) if ask.may_call(request) else {}

    def _choice(self, request: ChatRequest, number: int) -> Choice:
        emitter = Emitter(number, {tool.name: tool for tool in request.tools})
        if ask.must_call(request):
            named = request.tool_choice.name if request.tool_choice.mode == "named" else None
            reader = Arguments(emitter, named) if named else CallList(emitter)
            return Calling(number, request, self._vocabulary, reader, self._parsers.fresh(()))
        parser = self._parsers.fresh(request.tools if ask.may_call(request) else ())
        if parser:
            return Free(number, request, self._vocabulary, parser, emitter)
        return Plain(number, request, self._vocabulary)

    async def _watch_over(self, workers: list[int]) -> None:
        while all(map(sglang_family.is_alive, workers)):  # noqa: ASYNC110 - a death makes no event
            await asyncio.sleep(LOOK)
        self._died()

    def _died(self) -> None:
        """A process of SGLang has ended by itself: running answers end now, later ones are refused."""
        if self._failure:
            return
        self._failure = "A process of the inference engine has died; the server must be started again"
        log.error("a process of SGLang has died; every chat is refused from now on")
        for outputs in self._running:
            outputs.put_nowait((0, None))  # whoever waits looks up and sees the failure


def _launched(arguments: Json) -> Any:  # noqa: ANN401 - sglang ships no types
    """A running engine. Raises EngineError."""
    logging.getLogger("sglang.srt.entrypoints.engine").addFilter(
        lambda record: "custom SIGQUIT" not in record.getMessage()
    )
    try:
        # SGLang's own handler would end this process without a word; a child that fails is reported by an exception anyway.
        return Engine(**arguments, custom_sigquit_handler=signal.SIG_IGN)
    except (Exception, SystemExit) as error:
        raise EngineError(
            f"SGLang could not load {arguments['model_path']}: {type(error).__name__}: {error}"
        ) from error


def _checked(output: Any) -> Json:  # noqa: ANN401 - an output or an exception
    """The output; an exception is raised in our words."""
    if isinstance(output, (ValueError, TypeError)):
        said = str(output).splitlines()[0][:300]
        cause = "context_overflow" if "context length" in said or "input length" in said.lower() else "out_of_range"
        raise ApiError(cause, said) from output
    if isinstance(output, BaseException):
        raise output
    checked: Json = output
    return checked


def _fields(request: ChatRequest) -> Json:
    return {name: getattr(request, name) for name in ChatRequest.__dataclass_fields__}


class _Signals:
    """What SGLang's tokenizer manager does on signals, without ending this process."""

    def __init__(self, died: Any) -> None:  # noqa: ANN401 - a function without arguments
        self._died = died

    def sigterm_handler(self, *_: object) -> None:
        """The server ends us."""

    def running_phase_sigquit_handler(self, *_: object) -> None:
        """A child has failed, or SGLang's watchdog found one dead."""
        self._died()


@dataclass(slots=True)
class _Found:
    """A piece of text, read."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[int, str | None, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Parsers:
    """Makes SGLang's parsers for this model: which formats of calls and of reasoning it writes."""

    calls: str
    reasoning: str | None
    tokenizer: Any
    legacy_tags: bool

    @classmethod
    def of(cls, server: Any, tokenizer: Any) -> _Parsers:  # noqa: ANN401 - sglang ships no types
        """The parsers that the server arguments name; calls in Hermes form where they name none."""
        own = "qwen" if "<tool_call>" in tokenizer.chat_template else "hermes"
        return cls(
            server.tool_call_parser or own, server.reasoning_parser, tokenizer, server.grammar_backend == "llguidance"
        )

    def fresh(self, tools: tuple[Tool, ...]) -> _Parser | None:
        """A parser for one choice; None where there is nothing to find."""
        reasoning = ReasoningParser(self.reasoning, tokenizer=self.tokenizer) if self.reasoning else None
        return _Parser(reasoning, self._call_parser(tools) if tools else None) if reasoning or tools else None

    def tag(self, tools: tuple[Tool, ...]) -> Json:
        """The grammar that holds calls to their tools' schemas where the model makes any."""
        parser = self._call_parser(tools)
        found = self._legacy_tag(parser) if self.legacy_tags else parser.get_structure_constraint("auto")
        if not found:
            return {}
        kind, value = found
        value = value.model_dump(by_alias=True) if hasattr(value, "model_dump") else value
        return {kind: value if isinstance(value, str) else json.dumps(value)}

    def _legacy_tag(self, parser: Any) -> tuple[str, Json] | None:  # noqa: ANN401 - sglang ships no types
        """A trigger in angle brackets is a special token to llguidance; one that the model lacks loses its last bracket."""
        if not parser.detector.supports_structural_tag():
            return None
        tag: Json = parser.get_legacy_structural_tag().model_dump(by_alias=True)
        special = self.tokenizer.get_added_vocab()
        tag["triggers"] = [t if t in special or not t.endswith(">") else t[:-1] for t in tag["triggers"]]
        return "structural_tag", tag

    def _call_parser(self, tools: tuple[Tool, ...]) -> Any:  # noqa: ANN401 - sglang ships no types
        offered = [
            SglangTool(
                function=Function(
                    name=tool.name, description=tool.description, parameters=parameters(tool), strict=True
                )
            )
            for tool in tools
        ]
        return FunctionCallParser(offered, self.calls, tokenizer=self.tokenizer)


class _Parser:
    """SGLang's parsers for reasoning and for calls, one after the other."""

    def __init__(self, reasoning: Any, calls: Any) -> None:  # noqa: ANN401 - sglang ships no types
        self._reasoning = reasoning
        self._calls = calls

    def push(self, text: str) -> _Found:
        """What this text makes certain."""
        thought = ""
        if self._reasoning:
            thought, text = self._reasoning.parse_stream_chunk(text)
        return self._found(thought, text)

    def end(self) -> _Found:
        """What was held back, and the arguments that the stream parser has read and not told."""
        thought, text = _held_back(self._reasoning)
        found = self._found(thought, text)
        if self._calls:
            more, items = _held_back(self._calls)
            found.text += more or ""
            found.calls += [(i.tool_index, i.name, i.parameters) for i in items or []] + self._untold()
        return found

    def _found(self, thought: str | None, text: str | None) -> _Found:
        items: list[Any] = []
        if self._calls and text:
            text, items = self._calls.parse_stream_chunk(text)
        return _Found(text or "", thought or "", [(i.tool_index, i.name, i.parameters) for i in items])

    def _untold(self) -> list[tuple[int, str | None, str]]:
        read = getattr(self._calls.detector, "prev_tool_call_arr", None) or []
        told = getattr(self._calls.detector, "streamed_args_for_tool", None) or []
        untold: list[tuple[int, str | None, str]] = []
        for index, (call, sent) in enumerate(zip(read, told, strict=False)):
            arguments = call.get("arguments", {})
            full = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
            if full.startswith(sent) and len(full) > len(sent):
                untold.append((index, None, full[len(sent) :]))
        return untold


def _held_back(parser: Any) -> tuple[Any, Any]:  # noqa: ANN401 - sglang ships no types
    """What a parser of SGLang still holds when the text is over, as it may have been the beginning of a sign."""
    end = getattr(parser, "parse_stream_end", None)  # older releases hold nothing back
    pair: tuple[Any, Any] = end() if end else ("", "")
    return pair
