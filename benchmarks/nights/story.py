"""Thirty nights: what is done to the lab before each, how the night must end, and which cells may be called worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.nights import models
from benchmarks.nights.lab import DEVICES, Done, Lab, busy_machine

#: another runtime that is as fast, and one that is slower
SAME_RUNTIME, OTHER_RUNTIME = "ai-edge-litert==2.0.3", "tflite-runtime==2.14.0"


@dataclass(frozen=True, kw_only=True)
class Night:
    """A night of the story.

    Attributes:
        what: in words.
        before: what is done to the lab.
        code: how it must end.
        worse: beginnings of cells (WORKLOAD/RECIPE/DEVICE/BACKEND) that may be called worse; any other one is a false alarm.
        quantities: that the injected change must be told by, each of some cell; empty: nothing was injected.
        how: runs it.
    """

    what: str
    before: Callable[[Lab], None] = lambda lab: None
    code: int = 0
    worse: Sequence[str] = ()
    quantities: Sequence[str] = ()
    board: str | None = None
    how: Callable[[Lab], Done] = lambda lab: lab.night()


def _put(name: str, data: Callable[[], bytes]) -> Callable[[Lab], None]:
    return lambda lab: lab.put(name, data())


def _under(load: Callable[[], AbstractContextManager[None]]) -> Callable[[Lab], Done]:
    def run(lab: Lab) -> Done:
        with load():
            return lab.night()

    return run


def _profile(**overrides: object) -> Callable[[Lab], None]:
    return lambda lab: lab.profile(**overrides)


def _throttled(lab: Lab) -> None:
    lab.profile(host_tflite={"backends": {"cpu": {"env": {"LD_PRELOAD": str(lab.slow_clock())}}}})


def _accept_runtime(lab: Lab) -> None:
    for name in ("conv", "dense"):
        done = lab.harness(
            "accept",
            f"{name}/as-is/host-litert/cpu",
            "--why",
            "the new runtime is needed",
            "--results",
            str(lab.results),
        )
        assert done.returncode == 0, done.stderr


def _interrupted(lab: Lab) -> Done:
    code, done = lab.interrupted_night()
    assert code == 130, f"the interrupted half ended with {code}: {done.text[-2000:]}"
    return done


def _usual(count: int) -> list[Night]:
    return [Night(what="nothing") for _ in range(count)]


NO_SOFTMAX = {"emulation": {"backends": {"npu": {"delegate": {"options": {"refuse": "SOFTMAX"}}}}}}
RUNTIME = {"runtime": {"module": "tflite_runtime", "package": OTHER_RUNTIME}}


def story() -> list[Night]:
    """The nights in their order."""
    nights = _usual(6)
    nights += [
        Night(
            what="worse weights in dense",
            before=_put("dense", lambda: models.dense(worse=True)),
            code=3,
            worse=("dense/",),
            quantities=("score",),
        ),
        Night(what="worse weights, still there", code=3, worse=("dense/",), quantities=("score",)),
        Night(what="the good weights again", before=_put("dense", models.dense)),
        Night(
            what="a slower artifact of conv",
            before=_put("conv", lambda: models.conv(slower=True)),
            code=3,
            worse=("conv/",),
            quantities=("latency", "instructions"),
        ),
        Night(what="the fast artifact again", before=_put("conv", models.conv)),
        Night(
            what="the delegate takes no SOFTMAX",
            before=_profile(imx8mp=NO_SOFTMAX),
            code=3,
            worse=("conv/as-is/imx8mp@qemu/npu", "dense/as-is/imx8mp@qemu/npu"),
            quantities=("placement",),
        ),
        Night(what="the delegate takes it again", before=_profile()),
        Night(what="a flaky board: killed whenever it runs", code=2, how=lambda lab: lab.night(killed=True)),
        Night(what="the board is back"),
        Night(what="a busy machine: two busy loops", how=_under(busy_machine)),
        Night(
            what=f"another runtime, as fast: {SAME_RUNTIME}",
            before=_profile(host_litert={"runtime": {"package": SAME_RUNTIME}}),
        ),
        Night(what="a throttled board: 25 % slower", before=_throttled, board="host-tflite"),
        Night(what="the board is cool again", before=_profile()),
        Night(
            what=f"a slower runtime: {OTHER_RUNTIME}",
            before=_profile(host_litert=RUNTIME),
            code=3,
            worse=("conv/as-is/host-litert/cpu", "dense/as-is/host-litert/cpu"),
            quantities=("latency",),
        ),
        Night(
            what="that runtime, still there",
            code=3,
            worse=("conv/as-is/host-litert/cpu", "dense/as-is/host-litert/cpu"),
            quantities=("latency",),
        ),
        Night(what="that runtime, accepted", before=_accept_runtime),
        *_usual(2),
        Night(what="interrupted, then resumed", how=_interrupted),
        *_usual(1),
        Night(
            what="worse weights and a killed board",
            before=_put("dense", lambda: models.dense(worse=True)),
            code=3,
            worse=("dense/",),
            quantities=("score",),
            how=lambda lab: lab.night(killed=True),
        ),
        Night(what="the good weights again", before=_put("dense", models.dense)),
        *_usual(2),
    ]
    return nights


__all__ = ["DEVICES", "Night", "story"]
