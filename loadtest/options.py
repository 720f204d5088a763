"""The options that the locustfile adds to locust's; `python -m loadtest options` prints them.

locust's own --help answers before it has read a locustfile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser

__all__ = ["add_options"]


def add_options(parser: ArgumentParser) -> None:
    """Add them, as a group."""
    add = parser.add_argument_group("chat-conformance load").add_argument
    add("--dialect", default="openai", metavar="NAME|PATH", help="which documented API the target speaks")
    add("--scenario", default="chat", metavar="NAME|FILE", help="python -m loadtest list prints the names")
    add(
        "--report",
        default="load-report",
        metavar="DIR",
        help="where load.json, samples.jsonl, load.html and load.md go",
    )
    add("--slo", action="append", default=None, metavar="TERMS", help="for example 'ttft_p99<500ms,error_rate<0.1%%'")
    add("--slo-file", default="", metavar="FILE", help='a TOML file with slo = ["ttft_p99<500ms", ...]')
    add("--rate", type=float, default=None, metavar="N", help="requests a second at the scenario's peak")
    add("--closed-loop", action="store_true", help="each of -u users waits for its answer instead of a paced schedule")
    add("--requests", type=int, default=None, metavar="N", help="stop after that many requests")
    add("--model", default="", metavar="NAME", help="default: the first one that the target lists")
    add("--key-env", default="CHAT_API_KEY", metavar="NAME", help="the environment variable that holds the key")
    add("--seed", type=int, default=0, metavar="N", help="the same seed sends the same prompts at the same times")
    add("--calibrate", action="store_true", help="first measure the generator's own error on this machine")
    add("--insecure", action="store_true", help="do not verify the target's certificate")
