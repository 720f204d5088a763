"""Reads as the generator makes them: what it recognises as it comes is what a parser would have found."""

from __future__ import annotations

import itertools
import socket
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dialects
from loadtest import scenarios
from loadtest.analysis import Analysis, taste
from loadtest.behaviour import BEHAVIOURS, CUT, Pace, chunk, chunked, event
from loadtest.connection import Busy, Connection
from loadtest.framing import Framing
from loadtest.plan import Plan
from loadtest.sample import FIRSTS, Attempt, Sample
from loadtest.samples import SampleFile
from tests.test_load_framing import PlainHead
from tests.test_load_sample import played

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from loadtest.response import Response

needs_gevent = pytest.mark.skipif(find_spec("gevent") is None, reason="needs the load extra")
PACE = Pace(0.05, 0.01, 12)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
TEXTS = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=30)


def read(writes: Sequence[bytes]) -> Response:
    """What a Reader makes of these writes, a look after each; there are no kernel stamps on such a socket."""
    from loadtest.reader import Reader

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    found: list[Response] = []
    reader, connection = Reader(), Connection(ours, lambda: Framing(PlainHead), Busy())
    reader.add(connection, bulk=True)
    connection.begin(found.append, taste)
    try:
        for data in writes:
            theirs.sendall(data)
            reader.look()
        theirs.close()
        reader.look()
        return found[0]
    finally:
        reader.close()
        ours.close()
        theirs.close()


def judged(response: Response) -> Sample:
    """The sample without its times."""
    analysis = Analysis(Attempt(1, "chat", 0, 0))
    response.feed(analysis, 0, len(response.reads))
    return timeless(analysis.finish(response.fault).sample)


def timeless(sample: Sample) -> Sample:
    firsts = {name: None if sample.ttft_ms[name] is None else 0.0 for name in FIRSTS}
    times = {
        "planned_ns": 0,
        "queue_ms": 0.0,
        "e2e_ms": None,
        "tpot_ms": None,
        "longest_gap_ms": None,
        "ttft_ms": firsts,
    }
    return replace(sample, reads=0, **times)  # type: ignore[arg-type]  # the fields of Sample


@needs_gevent
@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
def test_what_is_recognised_as_it_comes_is_what_parsing_finds(name: str) -> None:
    writes = [data for _, data in BEHAVIOURS[name].writes(PACE) if data != CUT]

    assert judged(read(writes)) == timeless(played(name, PACE).sample)


@needs_gevent
@given(texts=TEXTS, cuts=st.lists(st.integers(0, 10**6), max_size=6))
def test_any_text_in_any_split_counts_the_same(texts: list[str], cuts: list[int]) -> None:
    events = [event(chunk({"content": text})) for text in texts] + [event(chunk({}, "stop")), event(b"[DONE]")]
    whole = HEAD + b"".join(map(chunked, events)) + b"0\r\n\r\n"
    places = sorted({cut % len(whole) for cut in cuts} | {0, len(whole)})

    by_event = judged(read([HEAD, *map(chunked, events), b"0\r\n\r\n"]))
    anyhow = judged(read([whole[a:b] for a, b in itertools.pairwise(places)]))

    assert (by_event.outcome, by_event.chunks, by_event.finish_reason) == ("ok", len(texts), "stop")
    assert replace(anyhow, bursts=0) == replace(by_event, bursts=0)


@needs_gevent
def test_plain_chunks_are_not_kept() -> None:
    writes = [HEAD, *(chunked(event(chunk({"content": f"word {n % 10}"}))) for n in range(50)), b"0\r\n\r\n"]

    assert sum(isinstance(data, int) for data in read(writes).reads.data) == 49


@needs_gevent
def test_a_chunk_after_done_is_a_failure_also_when_it_was_recognised() -> None:
    said = chunked(event(chunk({"content": "a word"})))
    response = read([HEAD, said, said, said, chunked(event(b"[DONE]")), said, b"0\r\n\r\n"])

    assert judged(response).outcome == "after_done"


@needs_gevent
def test_an_end_that_comes_with_the_last_bytes_is_seen() -> None:
    response = read([HEAD, chunked(event(chunk({"content": "a word"})))])

    assert response.fault == ("cut", "the connection ended inside the answer")


@needs_gevent
def test_a_long_answer_that_is_taken_apart_with_pauses_is_not_recorded_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gevent

    from loadtest.recorder import Recorder

    fired: list[str] = []
    request = SimpleNamespace(fire=lambda request_type, **_: fired.append(request_type))
    environment = SimpleNamespace(events=SimpleNamespace(request=request), parsed_options=SimpleNamespace())
    plan = Plan("http://127.0.0.1:9", dialects.load("openai"), scenarios.load("chat"), "m", key="k")
    recorder, seen = Recorder(plan, SampleFile(tmp_path), environment), []
    monkeypatch.setattr("loadtest.recorder.gevent.idle", lambda: seen.append((recorder.waiting, len(fired))))
    writes = [
        HEAD,
        *(chunked(event(chunk({"content": f"{n}"}))) for n in range(600)),
        chunked(event(b"[DONE]")),
        b"0\r\n\r\n",
    ]

    recorder.add(Attempt(1, "chat", 0, 0), read(writes))
    greenlet = gevent.spawn(recorder.run)
    gevent.sleep(0.1)
    greenlet.kill()

    assert seen[:3] == [(True, 0)] * 3
    assert (recorder.waiting, fired) == (False, ["TTFT", "POST"])
