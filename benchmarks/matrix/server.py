"""A reference server with its control plane, a process of its own, and the profile that judges it with every lever."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.matrix.suite import KEY
from conformance import embedded
from conformance.options import KEY_ENV
from conformance.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Server", "profile"]

ROOT = Path(__file__).parents[2]
LIMITED = 4000  # keys of the limited kind: each run spends one, as a spent one needs ten seconds to be like new
VALUES = {KEY_ENV: KEY, **{name: f"lever-{lever}" for lever, name in embedded.NAMES.items()}}
PRIVATE = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Server:
    """The server under test. `alter` puts faults and variations in force; `url(dialect)` is a target.

    `module` is what serves: the reference server, or one that takes its options.
    """

    def __init__(self, *options: str, module: str = "reference_server") -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-matrix-")
        keys = Path(self._folder.name) / "keys.toml"
        keys.write_text(_keys(), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            module,
            "--port",
            "0",
            "--control",
            "--config",
            str(keys),
            *options,
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
        )
        assert self._process.stdout is not None  # noqa: S101 - asked for as a pipe
        word, _, url = self._process.stdout.readline().strip().partition(" ")
        if word != "ready":
            raise RuntimeError(f"the reference server said {word!r} instead of ready")
        self.base = url
        self._runs = itertools.count()

    def url(self, dialect: str) -> str:
        """The base URL of a dialect."""
        return f"{self.base}/{dialect}"

    def alter(self, faults: Iterable[str] = (), vary: Iterable[str] = ()) -> None:
        """Put exactly these in force."""
        self._control("faults", {"names": list(faults), "vary": list(vary)})

    def watch(self) -> None:
        """Put nothing in force, and note which faults would have acted."""
        self._control("faults", {"watch": True})

    def met(self) -> frozenset[str]:
        """The faults that would have acted since this was last asked."""
        return frozenset(self._control("met")["met"])

    def _control(self, what: str, wish: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if wish is None else json.dumps(wish).encode()
        request = urllib.request.Request(f"{self.base}/__ref__/{what}", data)  # noqa: S310 - our own server
        with PRIVATE.open(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def profile(self, dialect: str) -> Profile:
        """The profile of the embedded target, with a limited key that nobody has used."""
        os.environ |= {**VALUES, f"{KEY_ENV}_LIMITED": f"limited-{next(self._runs) % LIMITED}"}
        return profile(dialect)

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._folder.cleanup()


@cache
def profile(dialect: str) -> Profile:
    """Every lever and limit that the embedded target's profile has; the keys are in the environment after `Server.profile`."""
    import dialects
    from conformance.options import Options

    blank: dict[str, Any] = {field.name: None for field in dataclasses.fields(Options)}
    options = Options(**{**blank, "dialect": dialects.load(dialect), "profile": Profile()})
    return embedded.profiled(options).profile


def _keys() -> str:
    kinds = [(KEY, "valid"), *((f"lever-{lever}", lever) for lever in embedded.NAMES if lever != "limited")]
    fixed = "".join(f'[[key]]\nvalue = "{value}"\nkind = "{kind}"\n' for value, kind in kinds)
    few = f'kind = "limited"\nrequests = {embedded.PER_WINDOW}\nwindow = 10\n'
    return fixed + "".join(f'[[key]]\nvalue = "limited-{n}"\n{few}' for n in range(LIMITED))
