"""locust's own users, as its documentation streams with them. PEER is HttpUser or FastHttpUser."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, HttpUser, constant, events, task

sys.path.insert(0, str(Path(__file__).parent))
from measure import BODY, HEADERS, PATH, REQUESTS, URL, Stream, first, say

left = [REQUESTS]


@events.quitting.add_listener
def _over(**_: object) -> None:
    say()


def _take() -> bool:
    left[0] -= 1
    return left[0] >= 0


def _chunk(line: str, stream: Stream) -> None:
    if line.startswith("data: ") and line != "data: [DONE]":
        at = time.perf_counter()
        choices = json.loads(line[6:])["choices"]
        if choices and choices[0]["delta"].get("content"):
            stream.content(at)


def _rest(user: HttpUser | FastHttpUser) -> None:
    if len(first) >= REQUESTS:
        gevent.spawn(user.environment.runner.quit)
    gevent.sleep(0.3)


if os.environ["PEER"] == "HttpUser":

    class Requests(HttpUser):
        """requests, iter_lines with chunks as they come."""

        host = URL
        wait_time = constant(0)

        @task
        def ask(self) -> None:
            """One streamed request."""
            if not _take():
                _rest(self)
                return
            stream = Stream(time.perf_counter())
            with self.client.post(PATH, json=BODY, headers=HEADERS, stream=True, catch_response=True) as answer:
                for line in answer.iter_lines(chunk_size=None):
                    _chunk(line.decode(), stream)
                answer.success()

else:

    class Fast(FastHttpUser):
        """geventhttpclient, iter_lines as documented."""

        host = URL
        wait_time = constant(0)
        network_timeout = 60

        @task
        def ask(self) -> None:
            """One streamed request."""
            if not _take():
                _rest(self)
                return
            stream = Stream(time.perf_counter())
            for line in self.client.iter_lines(PATH, "POST", json=BODY, headers=HEADERS):
                _chunk(line, stream)
