"""Starts LiteLLM's proxy in front of another OpenAI-like server and prints `ready URL`.

    pip install 'litellm[proxy]==1.106.2'
    TARGET_UPSTREAM=http://127.0.0.1:8391 CHAT_API_KEY=... python benchmarks/targets/litellm_proxy.py --port 8080

The key is asked for by the proxy (its master key) and passed on to the server behind it, which may want the same one.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import launch
import smollm2

UPSTREAM = "TARGET_UPSTREAM"


def config(upstream: str, key: str | None) -> dict[str, object]:
    """The proxy's configuration, in which keys are names of environment variables."""
    asked = "os.environ/CHAT_API_KEY" if key else "none"
    model = {"model": f"openai/{smollm2.NAME}", "api_base": f"{upstream}/v1", "api_key": asked}
    general = {"master_key": asked} if key else {}
    return {
        "model_list": [{"model_name": smollm2.NAME, "litellm_params": model}],
        "general_settings": general,
        "litellm_settings": {"num_retries": 0, "request_timeout": 120},
    }


def main() -> None:
    """Serve until a signal comes."""
    options = launch.options(__doc__)
    upstream = os.environ.get(UPSTREAM) or sys.exit(f"{UPSTREAM} is not set: the URL of the server behind the proxy")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"  # JSON is YAML
        file.write_text(json.dumps(config(upstream, options.key)), encoding="utf-8")
        command = [str(Path(sys.executable).with_name("litellm")), "--config", str(file)]
        command += ["--host", launch.HOST, "--port", str(options.port), "--telemetry", "False"]
        environment = {"CHAT_API_KEY": options.key} if options.key else {}
        launch.serve(command, options.port, "/health/liveliness", LITELLM_LOCAL_MODEL_COST_MAP="True", **environment)


if __name__ == "__main__":
    main()
