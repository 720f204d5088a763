"""SGLang's processes: found however deep they lie, and seen to end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from reference_server.engine import sglang_family

CHILD = "import time; print('up', flush=True); time.sleep(60)"


def test_a_worker_below_a_thread_of_a_child_is_found_and_another_process_is_not() -> None:
    worker = f"subprocess.Popen(['sglang::scheduler', '-c', {CHILD!r}], executable={sys.executable!r})"
    middle = f"import subprocess, threading; threading.Thread(target=lambda: {worker}.wait()).start()"
    with subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        (found,) = sglang_family.workers(os.getpid())
        try:
            assert found != child.pid
            assert sglang_family.is_alive(found)
        finally:
            os.kill(found, 9)
        deadline = time.monotonic() + 20
        while sglang_family.is_alive(found) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not sglang_family.is_alive(found)


def test_a_process_that_nobody_has_waited_for_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not sglang_family.is_alive(child.pid)
