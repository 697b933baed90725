"""The process that scores candidates, asked one by one: what crashes or hangs it costs one candidate."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.core.errors import HarnessError
from harness.tune.scored import Scored
from harness.workloads.rows import Arrays, write_samples

#: how long one candidate may take; a small network takes a twentieth of a second
DEADLINE_S = 60.0
_COMMAND = (sys.executable, "-m", "harness.tune.scored")


class ScorerProcess:
    """Asks a process of its own for scores; use as a context manager.

    Args:
        model: the float .tflite.
        samples: calibration samples as the model's inputs take them.
        layers: the names of the Keras model's layers.
        deadline_s: how long one candidate may take.
    """

    def __init__(self, model: Path, samples: Arrays, layers: Sequence[str], *, deadline_s: float = DEADLINE_S) -> None:
        self._model, self._samples, self._layers, self._deadline_s = model, samples, list(layers), deadline_s
        self._folder = tempfile.TemporaryDirectory(prefix="harness-tune-")
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> ScorerProcess:
        folder = Path(self._folder.name)
        self._stored = write_samples(self._samples, folder, "samples")
        (folder / "layers.json").write_text(json.dumps(self._layers), encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._folder.cleanup()

    def score(self, recipe: str, *, by_layer: bool = False) -> Scored:
        """What a candidate is worth; `refused` says why where nothing is known.

        Raises:
            HarnessError: the process does not even start.
        """
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"recipe": recipe, "by_layer": by_layer}) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=self._deadline_s)
        except queue.Empty:
            self._end()
            return Scored(recipe=recipe, refused=f"it was not scored within {self._deadline_s:g} s")
        except OSError:
            line = ""
        if not line:
            self._end()
            return Scored(recipe=recipe, refused="scoring it crashed the process")
        return _scored(json.loads(line))

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            folder = Path(self._folder.name)
            quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "OPENBLAS_NUM_THREADS": "1"}
            try:
                self._process = subprocess.Popen(
                    [*_COMMAND, str(self._model), str(self._stored), str(folder / "layers.json")],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    env={**os.environ, **quiet},
                )
            except OSError as error:
                raise HarnessError(f"no process could be started to score candidates ({error.strerror})") from error
            self._answers = queue.SimpleQueue()
            threading.Thread(target=_read, args=(self._process, self._answers), daemon=True).start()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if stream is not None:
                    stream.close()


def _read(process: subprocess.Popen[str], answers: queue.SimpleQueue[str]) -> None:
    """Hands on every line, and an empty one at the end."""
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError):
        for line in process.stdout:
            answers.put(line)
    answers.put("")


def _scored(answer: dict[str, Any]) -> Scored:
    return Scored(**{**answer, "layers_db": tuple((int(n), float(db)) for n, db in answer["layers_db"])})
