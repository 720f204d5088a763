"""What every test shares: no key from the outside, and examples drawn the same way on every machine.

`pytest --target URL` in this folder loads this file too, because pytest looks into testpaths before it knows what will
be collected. Such a run needs its key and draws examples by its own seed, so it is left alone.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_configure(config: pytest.Config) -> None:
    """Shut out the keys of whoever runs the tests, let Ctrl-C be heard, and fix the examples."""
    if config.getoption("target", None):
        return
    for name in [name for name in os.environ if name.startswith("CHAT_API_KEY")]:
        del os.environ[name]
    # A job in the background of a script ignores Ctrl-C, and so would all that the tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile(
        "tests",
        derandomize=True,  # a test that fails does so for everybody, every time
        deadline=None,  # the machine may be busy
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("tests")


@pytest.fixture(autouse=True)
def _examples_of_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that runs the suite in this process leaves the suite's own settings behind."""
    yield
    if not request.config.getoption("target", None):
        settings.load_profile("tests")
