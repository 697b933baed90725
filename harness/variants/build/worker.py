"""A build worker: `python -m harness.variants.build.worker`. Jobs come as JSON lines on stdin, answers leave as JSON lines.

Answers go to a copy of the descriptor that was stdout at the start; descriptor 1 then points at stderr, because
TensorFlow and the converters print. The worker dies with its parent, also when that is killed: the kernel is asked to
(Linux), and the end of stdin says so everywhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from harness.core.errors import HarnessError, UnsupportedError
from harness.variants.build.steps import Step
from harness.workloads.keras.env import has_keras2, import_this_keras
from harness.workloads.keras.translate import CopyRefusedError

#: seconds between two progress messages
_PROGRESS_S = 0.3
_PR_SET_PDEATHSIG = 1

#: one thread each: the scheduler keeps the cores busy with several workers, and one thread gives the same sums every time
ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_DETERMINISTIC_OPS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUNBUFFERED": "1",
}


def main() -> None:
    """Serves jobs until stdin ends."""
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid()
    _die_with_parent(parent)
    _bound_memory()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Ctrl-C is the parent's to handle: it ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()

    def send(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")

    from harness.variants.build.worker_jobs import JobRunner

    runner = JobRunner()
    with _answering(send):
        started = time.monotonic()
        _prepare_tensorflow()
        send({"ready": round(time.monotonic() - started, 3)})
        if jobs.empty() and has_keras2():
            import tensorflow_model_optimization  # noqa: F401 - a worker that waits anyway loads what QAT will need
    while True:
        job = jobs.get()
        with _answering(send):
            send({"result": runner.run(job, Reporter(send))})


def _prepare_tensorflow() -> None:
    """Imports TensorFlow with one thread and deterministic kernels, so that a rebuild gives the same bytes."""
    tf, _ = import_this_keras()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def _answering(send: Any) -> Any:
    """Turns what a job raises into an answer; a defect of the harness keeps its traceback."""
    try:
        yield
    except UnsupportedError as error:
        # Another Keras may do what has no copy in this one.
        another = {"another_keras": True} if isinstance(error, CopyRefusedError) else {}
        send({"refused": error.what, "hint": error.hint, **another})
    except HarnessError as error:
        kind = type(error).__name__
        send({"error": {"kind": kind, "what": error.what, "where": error.where, "hint": error.hint}})
    except OSError as error:
        what = f"the build cache cannot be used ({error.strerror or error})"
        hint = "free space or name another folder with $HARNESS_CACHE_DIR"
        send({"error": {"kind": "HarnessError", "what": what, "where": error.filename, "hint": hint}})
    except MemoryError:
        what = "not enough memory to build this"
        send({"error": {"kind": "HarnessError", "what": what, "where": None, "hint": "build with fewer --jobs"}})
    except Exception:
        send({"defect": traceback.format_exc()})


class Reporter:
    """Tells the parent how a job goes: which step it is at, and the share done, at most every `_PROGRESS_S` seconds."""

    def __init__(self, send: Callable[[dict[str, Any]], None]) -> None:
        self._send = send
        self._last = time.monotonic()

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if now - self._last >= _PROGRESS_S:
            self._last = now
            self._send({"progress": round(share, 4)})

    def step(self, step: Step) -> None:
        """A step has begun; the parent knows how long it may take."""
        self._send({"step": step})


def _read_jobs(jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Reads jobs; the end of stdin means that the parent is gone or done, whatever the worker is in the middle of."""
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)


def _bound_memory() -> None:
    """More than the machine has is refused at once: a model of absurd sizes ends by itself, and takes no other process along."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):
            pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            resource.setrlimit(resource.RLIMIT_DATA, (pages, pages))


def _die_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)  # it died before the kernel was asked


if __name__ == "__main__":
    main()
