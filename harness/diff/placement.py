"""Where each of two models is expected to run on a device, without the device."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.boards.connect import backend_spec
from harness.boards.predict import predict
from harness.boards.profile.model import Profile
from harness.diff.side import Side
from harness.predict.prediction import Prediction
from harness.tflite.graph import Graph, read_graph


@dataclass(frozen=True, kw_only=True)
class BackendDiff:
    """What is expected on one backend: of A, of B, and what of it differs."""

    backend: str
    a: Prediction
    b: Prediction

    @property
    def differs(self) -> bool:
        """Whether it loads, is right, fits or is placed otherwise."""
        return any(one != two for _, one, two in self.facts) or self.reasons_a != self.reasons_b

    @property
    def facts(self) -> list[tuple[str, str, str]]:
        """(what, A's, B's), in words."""
        return [
            ("loads", _word(self.a.loads), _word(self.b.loads)),
            ("right", _word(self.a.right), _word(self.b.right)),
            ("delegated", _delegated(self.a), _delegated(self.b)),
            ("partitions", _number(self.a.partitions), _number(self.b.partitions)),
            ("fits", _word(self.a.fits), _word(self.b.fits)),
            ("memory from", f"{self.a.memory.total_bytes:,} B", f"{self.b.memory.total_bytes:,} B"),
        ]

    @property
    def reasons_a(self) -> list[str]:
        """What speaks against A alone."""
        return [text for text in _against(self.a) if text not in _against(self.b)]

    @property
    def reasons_b(self) -> list[str]:
        """What speaks against B alone."""
        return [text for text in _against(self.b) if text not in _against(self.a)]


def placements(a: Side, b: Side, profile: Profile, devices_dir: str | None = None) -> list[BackendDiff]:
    """The predictions of both on each backend of a device.

    Raises:
        UserInputError: a faulty delegate table.
    """

    with tempfile.TemporaryDirectory(prefix="harness-diff-") as folder:
        # A microcontroller's plan is made of the file itself.
        graphs = [_kept(side, Path(folder) / f"{number}.tflite") for number, side in enumerate((a, b))]
        found = []
        for name in profile.backends:
            spec = backend_spec(profile, name)
            one, two = (
                predict(graph, len(side.data), profile, spec, devices_option=devices_dir)
                for side, graph in zip((a, b), graphs, strict=True)
            )
            found.append(BackendDiff(backend=name, a=one, b=two))
        return found


def _kept(side: Side, path: Path) -> Graph:
    """A side's graph, read of a file."""
    if side.path is not None:
        return read_graph(side.path)
    path.write_bytes(side.data)
    return read_graph(path)


def _against(prediction: Prediction) -> list[str]:
    fallback = [f"node {node.node} {node.op} stays on the CPU: {node.reason}" for node in prediction.fallback]
    return [*dict.fromkeys(prediction.reasons), *fallback]


def _word(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "NO"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _delegated(prediction: Prediction) -> str:
    if prediction.delegate is None:
        return "-"
    taken = "?" if prediction.taken is None else str(prediction.taken)
    return f"{prediction.delegate} {taken}/{prediction.total_nodes}"
