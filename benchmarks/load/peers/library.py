"""Closed loops on client libraries: PEER is openai (the official SDK), httpx, aiohttp, or vllm's or sglang's request function.

For vllm, VLLM_FILE is the path of endpoint_request_func.py taken out of the vllm wheel; its benchmark puts a semaphore and one
shared session around it, and so does this. sglang is imported, so its interpreter must be one that has it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
from measure import BODY, HEADERS, PATH, REQUESTS, STREAMS, URL, Stream, first, gaps, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def _line(line: str, stream: Stream) -> None:
    if line.startswith("data: ") and line != "data: [DONE]":
        at = time.perf_counter()
        choices = json.loads(line[6:])["choices"]
        if choices and choices[0]["delta"].get("content"):
            stream.content(at)


async def _loop(ask: Callable[[], Awaitable[None]]) -> None:
    left = REQUESTS

    async def user() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    await asyncio.gather(*(user() for _ in range(STREAMS)))


async def openai() -> None:
    """AsyncOpenAI with its defaults but for the pool's size."""
    import httpx
    from openai import AsyncOpenAI

    http = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=None), timeout=120)
    client = AsyncOpenAI(base_url=URL + "/v1", api_key="k", http_client=http)

    async def ask() -> None:
        stream = Stream(time.perf_counter())
        async for chunk in await client.chat.completions.create(**BODY):
            if chunk.choices and chunk.choices[0].delta.content:
                stream.content(time.perf_counter())

    await _loop(ask)


async def httpx_lines() -> None:
    """httpx, aiter_lines."""
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=120) as client:

        async def ask() -> None:
            stream = Stream(time.perf_counter())
            async with client.stream("POST", URL + PATH, json=BODY, headers=HEADERS) as answer:
                async for line in answer.aiter_lines():
                    _line(line, stream)

        await _loop(ask)


async def aiohttp_lines() -> None:
    """aiohttp, lines of the content."""
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            stream = Stream(time.perf_counter())
            async with session.post(URL + PATH, json=BODY, headers=HEADERS) as answer:
                async for line in answer.content:
                    _line(line.decode().strip(), stream)

        await _loop(ask)


async def vllm() -> None:
    """VLLM's benchmark request function, under a semaphore, on one session."""
    import aiohttp

    for name in ("vllm", "vllm.benchmarks", "vllm.benchmarks.lib", "vllm.benchmarks.lib.utils", "vllm.logger"):
        sys.modules.setdefault(name, types.ModuleType(name))
    spec = importlib.util.spec_from_file_location("vllm.benchmarks.lib.endpoint_request_func", os.environ["VLLM_FILE"])
    if spec is None or spec.loader is None:
        raise SystemExit("VLLM_FILE names no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = module.ASYNC_REQUEST_FUNCS["openai-chat"]
    gate = asyncio.Semaphore(STREAMS)
    connector = aiohttp.TCPConnector(limit=STREAMS, limit_per_host=STREAMS, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=600)) as session:

        async def one() -> None:
            asked = module.RequestFuncInput(
                prompt="Hello", api_url=URL + PATH, prompt_len=8, output_len=64, model="mock"
            )
            async with gate:
                out = await function(request_func_input=asked, session=session)
            if out.success:
                first.append(out.ttft)
                gaps.extend(out.itl)

        await asyncio.gather(*(one() for _ in range(REQUESTS)))


async def sglang() -> None:
    """SGLang's benchmark request function, under a semaphore, a session a request as it makes them."""
    from argparse import Namespace

    if importlib.util.find_spec("datasets") is None:  # it reads data sets with it, which this does not
        sys.modules["datasets"] = types.ModuleType("datasets")
        sys.modules["datasets"].load_dataset = None  # type: ignore[attr-defined]
    from sglang.benchmark import serving

    serving.set_global_args(
        Namespace(disable_stream=False, disable_ignore_eos=False, return_logprob=False, header=None)
    )
    gate = asyncio.Semaphore(STREAMS)

    async def one() -> None:
        asked = serving.RequestFuncInput(
            prompt="Hello",
            api_url=URL + PATH,
            prompt_len=8,
            output_len=64,
            model="mock",
            lora_name="",
            image_data=None,
            extra_request_body={},
        )
        async with gate:
            out = await serving.async_request_openai_chat_completions(asked)
        if out.success:
            first.append(out.ttft)
            gaps.extend(out.itl)

    await asyncio.gather(*(one() for _ in range(REQUESTS)))


PEERS = {"sglang": sglang, "openai": openai, "httpx": httpx_lines, "aiohttp": aiohttp_lines, "vllm": vllm}

if __name__ == "__main__":
    asyncio.run(PEERS[os.environ["PEER"]]())
    say()
