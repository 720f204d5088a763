"""Load tools that bring their own command. PEER is guidellm or aiperf, TOOL the path of its program.

Each runs as a user would run it: its own worker processes, its own prompts, its own figures out of its own report file. Their
tokenizer is the one of PEER_TOKENIZER (a folder), seen as the only model of an offline cache, so that nothing is asked of a hub.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from measure import REQUESTS, STREAMS, URL

NAME, REVISION = "local/tokenizer", "0" * 40
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "config.json", "chat_template.jinja")


def offline_cache(folder: Path) -> dict[str, str]:
    """The environment in which NAME is the tokenizer of PEER_TOKENIZER and the hub is not asked."""
    model = folder / "hub" / f"models--{NAME.replace('/', '--')}"
    snapshot = model / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(REVISION)
    for name in TOKENIZER_FILES:
        source = Path(os.environ["PEER_TOKENIZER"]) / name
        if source.exists():
            shutil.copy(source, snapshot)
    return {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def guidellm(folder: Path) -> tuple[list[str], Path]:
    """Its command, and the file in which it reports."""
    prompts, out = folder / "prompts.csv", folder / "out.json"
    prompts.write_text("prompt\n" + "Hello there\n" * REQUESTS)
    words = ["run", "--disable-console-interactive"]
    words += ["--backend", f"kind=openai_http,target={URL},model=mock"]
    words += ["--profile", f"kind=concurrent,streams={STREAMS}", "--constraint", f"kind=max_requests,count={REQUESTS}"]
    words += ["--data", f"kind=csv_file,path={prompts}", "--output", f"kind=json,path={out}"]
    return words, out


def aiperf(folder: Path) -> tuple[list[str], Path]:
    """Its command, and the file in which it reports."""
    words = ["profile", "-m", "mock", "--url", URL, "--endpoint-type", "chat", "--streaming", "--ui", "none"]
    words += ["--concurrency", str(STREAMS), "--request-count", str(REQUESTS), "--tokenizer", NAME]
    words += ["--synthetic-input-tokens-mean", "8", "--output-tokens-mean", "64", "--artifact-dir", str(folder)]
    return words, folder / "profile_export_aiperf.json"


def of_guidellm(found: dict[str, Any]) -> dict[str, float]:
    """Its figures under our names; its ITL is a mean per request."""
    metrics = found["benchmarks"][0]["metrics"]
    rows = {"ttft": metrics["time_to_first_token_ms"], "itl": metrics["inter_token_latency_ms"]}
    ranks = {name: row["successful"]["percentiles"] for name, row in rows.items()}
    return {f"{name}_{rank}": values[rank] for name, values in ranks.items() for rank in ("p50", "p99")}


def of_aiperf(found: dict[str, Any]) -> dict[str, float]:
    """Its figures under our names; its inter-token latency is a mean per request, so its gaps between chunks are taken."""
    gaps = found.get("inter_chunk_latency") or found["inter_token_latency"]
    rows = {"ttft": found["time_to_first_token"], "itl": gaps}
    return {f"{name}_{rank}": row[rank] for name, row in rows.items() for rank in ("p50", "p99")}


TOOLS = {"guidellm": (guidellm, of_guidellm), "aiperf": (aiperf, of_aiperf)}


def main() -> None:
    """Run the tool and print its figures as one line of JSON."""
    command, figures = TOOLS[os.environ["PEER"]]
    with tempfile.TemporaryDirectory() as folder:
        words, out = command(Path(folder))
        environment = {**os.environ, **offline_cache(Path(folder) / "cache")}
        done = subprocess.run([os.environ["TOOL"], *words], env=environment, stdout=sys.stderr, check=False)
        if not out.exists():
            raise SystemExit(f"it ended with exit code {done.returncode} and without a report")
        print(json.dumps(figures(json.loads(out.read_text()))), flush=True)


if __name__ == "__main__":
    main()
