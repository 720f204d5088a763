"""The reference server on a real SGLang with models that see and models that think, both of random weights."""

from __future__ import annotations

import base64
import json
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from tests.server_process import Json, Server, chunks, running, text_of
from tests.sglang_models import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    find_spec("sglang") is None,
    reason="sglang is not installed: python -m reference_server.engine.sglang_cpu.setup --venv DIR makes an environment",
)

WINDOW = 400
ANSWER: Json = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
FORM: Json = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER}}


def model(name: str, folder: pytest.TempPathFactory) -> str:
    return prepared(name, folder.mktemp("models"))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--engine-arg", f"context_length={WINDOW}")
    with running("--engine", "sglang", "--model", model("tiny-vision", tmp_path_factory), *options) as started:
        yield started


def image(colour: str, width: int = 64, height: int = 64) -> Json:
    data = BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "PNG")
    url = "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def look(server: Server, *parts: Json, said: str = "What is it?", **fields: object) -> Json:
    """The answer to a message of these parts and a text, at temperature 0."""
    content = [{"type": "text", "text": said}, *parts]
    messages = [{"role": "user", "content": content}]
    response = server.post("openai", messages=messages, **{"temperature": 0, "max_tokens": 8, **fields})
    answer: Json = response.json()
    return {"status": response.status_code, **answer}


def prompt_tokens(answer: Json) -> int:
    assert answer["status"] == 200
    tokens: int = answer["usage"]["prompt_tokens"]
    return tokens


def test_an_image_costs_tokens_by_its_size_and_several_cost_their_sum(seeing: Server) -> None:
    none, small, two, large = (
        prompt_tokens(look(seeing, *parts))
        for parts in ([], [image("red")], [image("red"), image("blue")], [image("red", 224, 224)])
    )

    assert none < small < large
    assert two - none == 2 * (small - none)


def test_another_image_is_another_prompt(seeing: Server) -> None:
    cached = [
        look(seeing, image(colour, 112, 112))["usage"]["prompt_tokens_details"]["cached_tokens"]
        for colour in ("navy", "navy", "olive")
    ]

    assert cached[1] > cached[0]
    assert cached[2] < cached[1]


def test_an_answer_about_images_ends_where_the_window_does(seeing: Server) -> None:
    answer = look(seeing, *[image("red", 112, 112)] * 3, max_tokens=None)

    assert answer["status"] == 200
    assert answer["usage"]["total_tokens"] <= WINDOW
    assert answer["choices"][0]["finish_reason"] in ("length", "stop")


def test_images_past_the_window_are_refused(seeing: Server) -> None:
    refused = look(seeing, *[image("red", 224, 224)] * 8)

    assert refused["status"] == 400
    assert refused["error"]["code"] == "context_length_exceeded"


def test_an_answer_about_an_image_is_held_to_its_schema_and_has_choices(seeing: Server) -> None:
    answer = look(seeing, image("red"), response_format=FORM, n=2, max_tokens=32)

    assert len(answer["choices"]) == 2
    for choice in answer["choices"]:
        Draft202012Validator(ANSWER).validate(json.loads(choice["message"]["content"]))


@pytest.mark.parametrize("said", ["<|image_pad|>", "a <|video_pad|>"])
def test_the_signs_for_images_cannot_be_said_in_words(seeing: Server, said: str) -> None:
    for parts in ([], [image("red")]):
        refused = look(seeing, *parts, said=said)

        assert refused["status"] == 400
        assert "stands for an image" in refused["error"]["message"]


def test_a_model_that_thinks_tells_its_thought_apart(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = ("--engine-arg", "reasoning_parser=deepseek-r1")
    with running("--engine", "sglang", "--model", model("tiny-thinker", tmp_path_factory), *options) as server:
        answers = [server.post("openai", max_tokens=96, logprobs=True).json() for _ in range(4)]
        streamed = chunks(server.post("openai", max_tokens=96, stream=True))
        held = [server.post("openai", max_tokens=400, response_format=FORM).json() for _ in range(4)]

    told = [(answer["choices"][0], answer["usage"]["completion_tokens_details"]) for answer in answers + held]
    for choice, details in told:
        assert choice["message"]["reasoning_content"]
        assert "</think>" not in choice["message"]["reasoning_content"]
        assert details["reasoning_tokens"] > 0
    assert any(choice["message"]["content"] for choice, _ in told[:4]), "no thought came to its end"
    for choice, _ in told[:4]:
        spelled = b"".join(bytes(token["bytes"]) for token in choice["logprobs"]["content"])
        assert spelled.decode("utf-8", "ignore").replace("\ufffd", "") == choice["message"]["content"].replace(
            "\ufffd", ""
        )
    assert any("reasoning_content" in part["choices"][0]["delta"] for part in streamed)
    assert "</think>" not in text_of(streamed).partition("</think>")[0]
    complete = [choice["message"]["content"] for choice, _ in told[4:] if choice["finish_reason"] == "stop"]
    assert any(complete)
    for said in filter(None, complete):
        Draft202012Validator(ANSWER).validate(json.loads(said))
