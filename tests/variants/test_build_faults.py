"""Workers that end badly: real processes that speak the real protocol; only the job is replaced by the fault."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.core.errors import HarnessError, UserInputError
from harness.variants.build.build import (
    build_outcomes,
    cached_outcomes,
)
from harness.variants.build.cache import BuildCache
from tests.support.fixtures_build import request_for
from tests.support.places import ROOT

FAULTY = """
import json, os, signal, sys, pathlib
faults = pathlib.Path({folder!r})
sys.path.insert(0, {root!r})
from harness.variants.build import worker
from harness.variants.build import worker_jobs

def run(self, job, on_progress):
    out = pathlib.Path(job["out"])
    if job["kind"] == "train":
        {training_fault}
        (out / "weights.npz").write_bytes(b"w")
        dataset = {{"name": "d", "note": "n", "digest": "x"}}
        return {{"training_summary": None, "weights_sha256": "0", "dataset": dataset, "seconds": 0}}
    (out / "model.tflite").write_bytes(b"half")
    count = len(list(faults.iterdir()))
    (faults / f"{{os.getpid()}}-{{count}}").touch()
    print("noise of the converter on stdout")
    os.write(1, b"and noise of C code\\n")
    {fault}
    (out / "model.tflite").write_bytes(b"whole")
    return {{"sha256": "s", "size_bytes": 5, "inputs": [], "outputs": [], "ops": [], "seconds": 0}}

worker_jobs.JobRunner.run = run
worker._prepare_tensorflow = lambda: None
sys.modules["tensorflow_model_optimization"] = sys
worker.main()
"""


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    """A function that builds `ptq-float32` with workers that have a given fault."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "faults"
    folder.mkdir()

    def build(fault, recipes=("ptq-float32",), training_fault="pass", deadline_s=None):
        script = tmp_path / "faulty_worker.py"
        faults = {"fault": fault, "training_fault": training_fault}
        script.write_text(FAULTY.format(folder=str(folder), root=str(ROOT), **faults))
        command = [sys.executable, str(script)]
        return build_outcomes([request_for(r) for r in recipes], jobs=1, worker_command=command, deadline_s=deadline_s)

    build.faults = folder
    build.cache = tmp_path / "cache"
    return build


def test_prints_of_the_converter_do_not_disturb_the_protocol(faulty):
    assert faulty("pass")[0].artifact.path.read_bytes() == b"whole"


@pytest.mark.parametrize(
    "fault, name",
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        (
            "sys.stderr.write('F0000 Check failed: a < b\\n'); sys.stderr.flush(); os.abort()",
            "SIGABRT: F0000 Check failed: a < b",
        ),
        ("os._exit(3)", "exit code 3"),
    ],
)
def test_a_converter_that_crashes_is_a_refusal_with_its_reason(faulty, fault, name):
    outcome = faulty(fault)[0]
    assert outcome.artifact.path is None
    assert "crashed the process" in outcome.artifact.refused and name in outcome.artifact.refused
    assert len(list(faulty.faults.iterdir())) == 2  # tried again in a fresh process before it was believed
    assert faulty("pass")[0].artifact.refused  # and remembered


def test_a_crash_that_does_not_repeat_is_no_refusal(faulty):
    outcome = faulty("count == 0 and os.kill(os.getpid(), signal.SIGSEGV)")[0]
    assert outcome.artifact.path.read_bytes() == b"whole"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_worker_killed_from_outside_ends_the_build_and_breaks_nothing(faulty, name):
    with pytest.raises(HarnessError, match=f"killed from outside .{name}.*nothing is broken"):
        faulty(f"signal.signal(signal.SIGTERM, signal.SIG_DFL); os.kill(os.getpid(), signal.{name})")
    assert faulty("pass")[0].artifact.path.read_bytes() == b"whole"
    assert not list((faulty.cache / "build" / "tmp").iterdir())


def test_an_error_of_the_user_reaches_the_caller(faulty):
    fault = "from harness.core.errors import UserInputError; raise UserInputError('bad file', where='x.npz', hint='mend it')"
    with pytest.raises(UserInputError) as caught:
        faulty(fault)
    assert (caught.value.what, caught.value.where, caught.value.hint) == ("bad file", "x.npz", "mend it")


def test_a_full_disk_is_said_and_nothing_is_kept(faulty):
    with pytest.raises(HarnessError, match="No space left"):
        faulty("raise OSError(28, 'No space left on device', str(out))")
    assert cached_outcomes([request_for("ptq-float32")]) == [None]


def test_a_defect_keeps_its_traceback(faulty):
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        faulty("1 / 0")


def test_two_builds_at_once_do_the_work_once(faulty):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(faulty("import time; time.sleep(1)")[0])) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.artifact.path.read_bytes() for r in results] == [b"whole", b"whole"]
    assert len(list(faulty.faults.iterdir())) == 1


def start_build(tmp_path, fault):
    """`harness build` as a process of its own with faulty workers; waits until a conversion runs."""
    faults = tmp_path / "faults"
    faults.mkdir()
    script = tmp_path / "faulty_worker.py"
    script.write_text(FAULTY.format(folder=str(faults), root=str(ROOT), fault=fault, training_fault="pass"))
    # Tests that were started in the background inherit that SIGINT is ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from harness.variants.build import build; from tests.support.fixtures_build import request_for; "
        "build.build_outcomes([request_for('ptq-float32')], jobs=1, worker_command=[sys.executable, sys.argv[1]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(script)],
        cwd=ROOT,
        env={**os.environ, "HARNESS_CACHE_DIR": str(tmp_path / "cache")},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list(faults.iterdir()):
        assert process.poll() is None and time.monotonic() < deadline, process.stderr.read().decode()
        time.sleep(0.02)
    return process, int(next(faults.iterdir()).name.split("-")[0])


def gone(pid):
    """Whether a process ended within 10 s."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_workers_die_with_their_parent_and_leave_nothing_broken(tmp_path, monkeypatch, name):
    # A busy worker that holds the interpreter's lock hears nothing of its stdin; only the kernel can end it.
    process, worker = start_build(tmp_path, "while True: pass")
    try:
        process.send_signal(getattr(signal, name))
        process.wait(30)
    finally:
        process.kill()
        process.stderr.close()
    assert gone(worker)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    assert cached_outcomes([request_for("ptq-float32")]) == [None]
    with BuildCache() as cache:
        cache.remove_leftovers()
        assert not list((cache.root / "build" / "tmp").iterdir())
        # The finished training was kept: only the interrupted conversion is to be done.
        assert len(list((cache.root / "trainings").iterdir())) == 1


# What hangs. Deadlines are seconds here, and minutes for users.

HANG = "import time; time.sleep(600)"


def pids(faulty):
    return [int(path.name.split("-")[0]) for path in faulty.faults.iterdir()]


@pytest.mark.parametrize(
    "step, deadline_s, words",
    [
        ("converting", 2, "the converter had not ended after 2 s and was stopped; --deadline gives it more time"),
        ("loading", 10, "the model was not loaded after 2 s and was stopped"),
        ("preparing", 2, "the samples were not ready after 2 s and was stopped"),
    ],
)
def test_a_step_that_hangs_is_a_refusal_and_leaves_nothing_running(faulty, step, deadline_s, words):
    child = "import subprocess; child = subprocess.Popen(['sleep', '600']); (faults / f'{child.pid}-child').touch()"
    outcome = faulty(f"on_progress.step({step!r}); {child}; {HANG}", deadline_s=deadline_s)[0]
    assert outcome.artifact.path is None and words in outcome.artifact.refused
    assert len(pids(faulty)) == 2  # the worker and what it had started; a hang is not tried again
    assert all(gone(pid) for pid in pids(faulty))


def test_a_hang_is_no_property_of_the_model_and_not_remembered(faulty):
    assert faulty(HANG, deadline_s=2)[0].artifact.refused
    assert cached_outcomes([request_for("ptq-float32")]) == [None]
    assert not list((faulty.cache / "build" / "tmp").iterdir())
    assert faulty("pass")[0].artifact.path.read_bytes() == b"whole"


def test_a_training_that_makes_progress_may_take_longer_than_the_deadline(faulty):
    slow = "import time; on_progress.step('training'); [(time.sleep(0.5), on_progress(i / 10)) for i in range(10)]"
    assert faulty("pass", training_fault=slow, deadline_s=3)[0].artifact.path


def test_a_training_without_progress_refuses_all_that_stand_on_it(faulty):
    stuck = f"on_progress.step('training'); on_progress(0.5); {HANG}"
    outcomes = faulty("pass", recipes=("ptq-float32", "ptq-int8-io"), training_fault=stuck, deadline_s=2)
    assert ["the training made no progress for 2 s" in o.artifact.refused for o in outcomes] == [True, True]
    assert cached_outcomes([request_for("ptq-float32")]) == [None]


def test_others_go_on_when_one_hangs(faulty):
    hang_once = f"'ptq-int8-io' in job['recipe'] and [on_progress.step('converting'), exec({HANG!r})]"
    outcomes = faulty(hang_once, recipes=("ptq-int8-io", "ptq-float32", "ptq-default"), deadline_s=2)
    assert [o.artifact.path is not None for o in outcomes] == [False, True, True]


def test_a_worker_that_never_starts_ends_the_build(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("harness.variants.build.schedule._START_S", 1.0)
    with pytest.raises(HarnessError, match="did not load TensorFlow within 1 s"):
        build_outcomes([request_for("ptq-float32")], jobs=1, worker_command=["sleep", "600", "#"][:2])


def test_a_refusal_in_words_that_are_not_todays_is_asked_for_again(faulty, monkeypatch):
    refuse = "from harness.core.errors import UnsupportedError; raise UnsupportedError('no such kernel')"
    assert faulty(refuse)[0].artifact.refused == "no such kernel"
    assert faulty("pass")[0].artifact.refused == "no such kernel"
    monkeypatch.setattr("harness.variants.build.cache.REFUSAL_VERSION", "tomorrow's")
    assert faulty("pass")[0].artifact.path.read_bytes() == b"whole"


def test_a_copy_that_is_refused_is_tried_with_the_other_keras(faulty, monkeypatch):
    monkeypatch.setattr("harness.variants.build.tasks.readers", lambda workload, recipe: (2, 3))
    refuse = (
        "from harness.workloads.keras.translate import refused\n"
        "    if job['keras'] == 2: raise refused('gate', 'differs')"
    )
    artifact = faulty(refuse)[0].artifact
    assert artifact.path and artifact.manifest["keras"] == 3
    monkeypatch.setattr("harness.variants.build.tasks.readers", lambda workload, recipe: (2,))
    artifact = faulty(refuse, recipes=("ptq-int8",))[0].artifact
    assert artifact.refused.startswith("layer 'gate' differs, so there is no copy in Keras 2")
    assert "ptq recipes" in artifact.refused
