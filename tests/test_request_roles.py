"""A role that a target refuses is the fault of that role's row: rows of what its messages may hold are not blamed for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import dialects
from conformance.chat import Chat
from conformance.checks.test_request import test_accepts as accepts
from conformance.profile import Profile
from conformance.target import Target
from conformance.verdict import Inconclusive, Mismatch
from conformance.wire.client import Client, Timeouts
from tests.plain_service import MODEL, Alter, Service, error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]


@pytest.fixture(name="asking")
def _asking() -> Iterator[Callable[[Callable[[Json], bool], int], Chat]]:
    """Makes a chat with a service that answers requests of which `when` holds with a status."""
    services, client = [], Client(Timeouts(5, 10, 20))

    def refusing(when: Callable[[Json], bool], status: int) -> Chat:
        alter = Alter(refuse=lambda asked, *_: (status, error("no")) if any(map(when, asked["messages"])) else None)
        services.append(Service(alter).__enter__())
        return Chat(client, Target(services[-1].url, MODEL, "a-key"), dialects.load("openai"), Profile(), {})

    yield refusing
    client.close()
    for service in services:
        service.__exit__()


def role(name: str) -> Callable[[Json], bool]:
    return lambda message: message["role"] == name


@pytest.mark.parametrize("field", ["messages.content", "messages.content.text", "messages.name"])
def test_a_refused_role_fails_its_own_row_alone(asking: Callable[..., Chat], field: str) -> None:
    chat = asking(role("developer"), 400)
    accepts(chat, field)
    with pytest.raises(Mismatch):
        accepts(chat, "messages.role=developer")


def test_nothing_follows_for_a_field_that_stands_in_refused_roles_only(asking: Callable[..., Chat]) -> None:
    with pytest.raises(Inconclusive, match="a role that is refused"):
        accepts(asking(role("assistant"), 422), "messages.refusal")


def test_a_form_of_content_that_one_role_may_not_have_is_still_a_failure(asking: Callable[..., Chat]) -> None:
    listed = asking(lambda message: message["role"] == "system" and isinstance(message["content"], list), 400)
    with pytest.raises(Mismatch, match="2xx"):
        accepts(listed, "messages.content")


def test_a_server_error_for_a_role_excuses_nothing(asking: Callable[..., Chat]) -> None:
    with pytest.raises(Mismatch, match="500"):
        accepts(asking(role("developer"), 500), "messages.content")
