"""The reference server with an engine that obeys two more sentences, which two of the testers say to a model.

    python -m benchmarks.peers.obliging --dialect openai --port 8000    # every option of `python -m reference_server`

apiwells wants a tool's argument to be what its prompt says (`challenge="apiwells-tool-check"`), and
trustedrouter-provider-check wants "reply exactly PONG" to bring PONG. The embedded engine is no model: without this both
would call every correct server broken, and see nothing of the faults behind those two answers.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from reference_server import __main__ as server
from reference_server.engine import calling, script

if TYPE_CHECKING:
    from random import Random

    from reference_server.engine import Tool

_EXACTLY = re.compile(r"(?i)^reply exactly (\w+)$")
_GIVEN = re.compile(r'\b(\w+)="([^"]*)"')
_arguments = calling.arguments


def exactly(prompt: str, _: Random) -> str | None:
    """The word that the prompt asks for."""
    found = _EXACTLY.search(prompt.strip())
    return found[1] if found else None


def given(tool: Tool, prompt: str, number: int, variant: int) -> str:
    """The arguments that the prompt spells out, where they are properties of the tool; else the engine's own."""
    text = _arguments(tool, prompt, number, variant)
    wanted = {
        name: value for name, value in _GIVEN.findall(prompt) if name in (tool.parameters or {}).get("properties", {})
    }
    return json.dumps({**json.loads(text), **wanted}) if wanted and not tool.custom else text


def main() -> int:
    """Serve."""
    script._RULES = (exactly, *script._RULES)  # noqa: SLF001 - a benchmark's engine, not the server's
    calling.arguments = given
    return server.main()


if __name__ == "__main__":
    sys.exit(main())
