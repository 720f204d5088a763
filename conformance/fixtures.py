"""What checks may ask for: the target through its dialect. Oracles' parameters are filled by the plugin, not here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.explore import Explorer
from conformance.options import DEPTHS
from conformance.plugin_state import STATE

if TYPE_CHECKING:
    from conformance.chat import Chat
    from conformance.profile import Profile
    from dialects import Dialect


@pytest.fixture(scope="session")
def chat(request: pytest.FixtureRequest) -> Chat:
    """The target, asked in the dialect's words."""
    return request.config.stash[STATE].chat


@pytest.fixture(scope="session")
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """The facts of the document that decides."""
    return request.config.stash[STATE].options.dialect


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> Profile:
    """What the user says of the target."""
    return request.config.stash[STATE].options.profile


def _looked_at() -> None:
    """Stand-in for an oracle's parameter: the judge calls oracles itself, with every exchange of their kind."""


exchange = pytest.fixture(scope="session", name="exchange")(_looked_at)
answer = pytest.fixture(scope="session", name="answer")(_looked_at)
stream = pytest.fixture(scope="session", name="stream")(_looked_at)
reply = pytest.fixture(scope="session", name="reply")(_looked_at)
refusal = pytest.fixture(scope="session", name="refusal")(_looked_at)


@pytest.fixture(scope="session")
def explore(request: pytest.FixtureRequest) -> Explorer:
    """Draws values by hypothesis within a check, seeded by the run."""
    options = request.config.stash[STATE].options
    depth = DEPTHS[options.depth]
    return Explorer(options.seed, depth.examples, depth.patience)
