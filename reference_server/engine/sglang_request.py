"""What a request asks of SGLang: whether it calls, under which grammar, with which sampling; and what an answer has cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reference_server.engine import Usage, sglang_seed
from reference_server.engine.sglang_schema import MOST_CALLS, call_list, closed, parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reference_server.engine import ChatRequest, Json
    from reference_server.engine.sglang_choice import Choice

__all__ = ["Total", "draws", "extras", "may_call", "must_call", "sampling", "schema", "shown"]

SMALLEST_TOP_P = 1e-6  # SGLang refuses 0, which the API allows
SEEDS = 2**63 - 1


def must_call(request: ChatRequest) -> bool:
    """Whether the answer has to be calls."""
    return bool(request.tools) and request.tool_choice.mode in ("required", "named")


def may_call(request: ChatRequest) -> bool:
    """Whether the model decides about calls."""
    return bool(request.tools) and request.tool_choice.mode == "auto"


def shown(request: ChatRequest) -> list[str]:
    """The images of a request, in order."""
    return [uri for message in request.messages for uri in message.images]


def schema(request: ChatRequest) -> str | None:
    """The schema that the whole answer is held to, as JSON text: a named tool's arguments, a list of calls, the client's."""
    if must_call(request):
        return json.dumps(_forced(request))
    if request.schema is None:
        return None
    return json.dumps({} if request.schema is True else closed(request.schema))


def _forced(request: ChatRequest) -> Json:
    if request.tool_choice.mode == "named":
        return parameters(next(tool for tool in request.tools if tool.name == request.tool_choice.name))
    return call_list(request.tools, most=MOST_CALLS if request.parallel_tool_calls else 1)


def sampling(request: ChatRequest, number: int, limit: int) -> Json:
    """SGLang's sampling parameters of choice `number`, without its grammar."""
    params: Json = {
        "max_new_tokens": limit,
        "temperature": request.temperature,
        "top_p": max(request.top_p, SMALLEST_TOP_P),
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "no_stop_trim": True,  # we cut, at the same place whether streamed or not
    }
    if request.seed is not None:
        params["sampling_seed"] = seed = (request.seed + number) & SEEDS
        if draws(request):
            params["custom_params"] = sglang_seed.parameters(seed, request.temperature, params["top_p"])
    if not must_call(request):
        params["stop"] = [stop for stop in request.stop if stop]
    return params


def draws(request: ChatRequest) -> bool:
    """Whether its seed can decide about its words; log probabilities would tell of the draw instead of the model."""
    return request.seed is not None and request.temperature > 0 and request.logprobs is None


def extras(request: ChatRequest) -> Json:
    """What is asked of SGLang beside prompt and sampling."""
    if request.logprobs is None:
        return {}
    return {"return_logprob": True, "logprob_start_len": -1, "top_logprobs_num": request.logprobs}


@dataclass(slots=True)
class Total:
    """What an answer has cost so far, in tokens."""

    prompt: int
    cached: int | None = None

    def add(self, meta: Json) -> None:
        """Note what an output says of the prompt; what the first one says counts, for later choices find it in the cache."""
        self.prompt = int(meta.get("prompt_tokens") or self.prompt)
        if self.cached is None and meta.get("cached_tokens") is not None:
            self.cached = int(meta["cached_tokens"])

    def usage(self, choices: Sequence[Choice]) -> Usage:
        """The sum over all choices."""
        spent, reasoned = sum(choice.spent for choice in choices), sum(choice.reasoned for choice in choices)
        return Usage(self.prompt, spent, reasoned, min(self.cached or 0, self.prompt))
