"""python -m tests.real TARGET [pytest arguments]: starts a server that nobody here wrote and judges it in dialect openai.

The script of the target is in benchmarks/targets, what is known of it in docs/targets: TARGET.profile.toml, and in
TARGET.baseline.toml each known deviation with its reason. Exit status: that of the judging run.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPTS = {"llama.cpp": "llama_cpp.py", "llama-cpp-python": "llama_cpp_python.py"}
CANNOT_JUDGE = 2


def main(arguments: list[str]) -> int:
    name, extra = (arguments or ["llama.cpp"])[0], arguments[1:]
    if name not in SCRIPTS:
        print(f"no target {name!r}: there are {', '.join(SCRIPTS)}", file=sys.stderr)
        return CANNOT_JUDGE
    environment = {**os.environ, "CHAT_API_KEY": f"real-{secrets.token_hex(16)}"}
    script = ROOT / "benchmarks" / "targets" / SCRIPTS[name]
    with subprocess.Popen([sys.executable, script], env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = _ready(server)
            if url is None:
                print(f"{name} did not start: {script} ended with {server.wait()}", file=sys.stderr)
                return CANNOT_JUDGE
            threading.Thread(target=deque, args=(server.stdout, 0), daemon=True).start()  # an unread log would stop it
            return subprocess.run(_judge(name, url, extra), cwd=ROOT, env=environment, check=False).returncode
        finally:
            server.terminate()


def _ready(server: subprocess.Popen[str]) -> str | None:
    """The URL that the script prints; its other lines are the server's log."""
    assert server.stdout is not None
    for line in server.stdout:
        if line.startswith("ready "):
            return line.removeprefix("ready ").strip()
    return None


def _judge(name: str, url: str, extra: list[str]) -> list[str]:
    command = [sys.executable, "-m", "pytest", "--target", url, "--dialect", "openai"]
    for option in ("profile", "baseline"):
        file = ROOT / "docs" / "targets" / f"{name}.{option}.toml"
        if file.is_file():
            command += [f"--{option}", str(file)]
    return [*command, *extra]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
