"""Prompts: what a chat template is given, with templates that know tools and templates that do not."""

from __future__ import annotations

import json
from typing import Any

import jinja2
import pytest

from reference_server.engine import ChatRequest, Message, PastCall, Tool, ToolChoice
from reference_server.engine.sglang_prompt import Prompter
from reference_server.errors import ApiError

PLAIN = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
KNOWS = "{{ tools | tojson }}\n{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ m.tool_calls | default([]) | tojson }}\n{% endfor %}"
SEES = "{% for m in messages %}{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}"
SYSTEM_AS_TEXT = "{{ messages[0].content + '|' if messages[0].role == 'system' }}" + SEES.replace(
    "m in messages", "m in messages if m.role != 'system'"
)
BOTH = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
    + SEES[len("{% for m in messages %}") : -len("{% endfor %}")]
    + "{% endif %}{% endfor %}"
)
FUSSY = "{% for m in messages %}{{ m.missing.role }}{% endfor %}"
WEATHER = Tool("weather", "of a city", {"type": "object", "properties": {"city": {"type": "string"}}})


class Tokenizer:
    """Renders as transformers does, and takes every character for a token."""

    def __init__(self, template: str) -> None:
        self.chat_template = template

    def apply_chat_template(self, messages: list[dict[str, Any]], *, tokenize: bool, **options: Any) -> str:  # noqa: ANN401 - as in transformers
        assert not tokenize
        return str(jinja2.Template(self.chat_template).render(messages=messages, **options))

    def convert_ids_to_tokens(self, token: int) -> str:
        return f"<{token}>"

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [ord(character) for character in text]


def text(template: str, *messages: Message, **fields: Any) -> str:  # noqa: ANN401 - the fields of ChatRequest
    return Prompter.of(Tokenizer(template)).text(ChatRequest("m", messages, **fields))


HELLO = Message("user", "hello")


def test_the_conversation_is_rendered_and_the_assistant_is_next() -> None:
    said = text(PLAIN, Message("developer", "be brief"), HELLO)

    assert said == "[system] be brief\n[user] hello\n[assistant] "


def test_tokens_are_those_of_the_text() -> None:
    prompter = Prompter.of(Tokenizer(PLAIN))
    request = ChatRequest("m", (HELLO,))

    assert "".join(map(chr, prompter.tokens(request))) == prompter.text(request)


def test_a_template_that_knows_tools_is_given_them() -> None:
    said = text(KNOWS, HELLO, tools=(WEATHER,)).splitlines()

    assert json.loads(said[0])[0]["function"]["name"] == "weather"


def test_tools_that_must_not_be_called_are_not_shown() -> None:
    assert "weather" not in text(KNOWS, HELLO, tools=(WEATHER,), tool_choice=ToolChoice("none"))
    assert "weather" not in text(PLAIN, HELLO, tools=(WEATHER,), tool_choice=ToolChoice("none"))


@pytest.mark.parametrize("first", [(), (Message("system", "be brief"),)])
def test_a_template_that_does_not_know_tools_has_them_in_its_system_message(first: tuple[Message, ...]) -> None:
    said = text(PLAIN, *first, HELLO, tools=(WEATHER,))

    assert said.count("[system]") == 1
    assert said.startswith("[system] be brief" if first else "[system] ")
    assert '"name": "weather"' in said
    assert "<tool_call>" in said
    assert "[user] hello" in said


def test_past_calls_reach_both_kinds_of_templates() -> None:
    called = Message("assistant", "", calls=(PastCall("c1", "weather", '{"city": "Oslo"}'),))
    result = Message("tool", "rain", call_id="c1")

    assert '<tool_call>{"name": "weather", "arguments": {"city": "Oslo"}}</tool_call>' in text(PLAIN, called, result)
    assert '"arguments": {"city": "Oslo"}' in text(KNOWS, called, result)


def test_images_are_parts_for_a_template_that_takes_them() -> None:
    assert text(SEES, Message("user", "what?", images=("data:1", "data:2"))) == "<image><image>what?"


def test_a_template_that_loses_texts_is_given_parts_for_every_role_that_it_loses() -> None:
    conversation = (Message("system", "be brief"), HELLO, Message("assistant", "hi"), Message("user", "bye"))

    assert text(SEES, *conversation) == "be briefhellohibye"
    assert text(SYSTEM_AS_TEXT, *conversation) == "be brief|hellohibye"
    assert '"name": "weather"' in text(SEES, *conversation, tools=(WEATHER,))


def test_a_template_that_shows_texts_is_given_texts() -> None:
    assert text(BOTH, HELLO) == "hello"
    assert text(BOTH, Message("user", "what?", images=("data:1",))) == "<image>what?"


class Config:
    """Which tokens of a model stand for what."""

    image_token_id = 1
    video_token_id = 2


@pytest.mark.parametrize(
    ("said", "images", "refused"),
    [
        ("what?", 1, False),
        ("<1>", 0, True),
        ("<1>", 1, True),
        ("<2>", 1, True),
        ("< 1>", 1, False),
    ],
)
def test_the_signs_for_images_cannot_be_said_in_words(said: str, images: int, *, refused: bool) -> None:
    template = SEES.replace("<image>", "<1>")
    prompter = Prompter.of(Tokenizer(template), Config)
    request = ChatRequest("m", (Message("user", said, images=("data:1",) * images),))

    if refused:
        with pytest.raises(ApiError, match="stands for an image") as refusal:
            prompter.text(request)
        assert refusal.value.cause == "out_of_range"
    else:
        assert prompter.text(request) == "<1>" * images + said


def test_a_model_that_reads_text_only_has_no_such_signs() -> None:
    assert text(PLAIN, Message("user", "<1>")) == "[user] <1>\n[assistant] "


def test_half_a_surrogate_pair_does_not_reach_the_tokenizer() -> None:
    assert text(PLAIN, Message("user", "a\ud83d")) == "[user] a?\n[assistant] "


def test_a_conversation_that_the_template_refuses_is_the_clients_fault() -> None:
    with pytest.raises(ApiError, match="the model's template refuses them") as refused:
        text(FUSSY, HELLO)

    assert refused.value.cause == "out_of_range"
