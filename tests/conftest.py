"""What every test shares: no key from the outside, and examples drawn the same way on every machine."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

for name in [name for name in os.environ if name.startswith("CHAT_API_KEY")]:
    del os.environ[name]

settings.register_profile(
    "tests",
    derandomize=True,  # a test that fails does so for everybody, every time
    deadline=None,  # the machine may be busy
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")
