"""Models compared and shipped from Python."""

import pytest

import harness
from tests.diff.nets import renamed, residual
from tests.support.nights import Nights, record


def test_two_files_are_compared_node_by_node(tmp_path):
    a, b, c = (tmp_path / f"{name}.tflite" for name in "abc")
    a.write_bytes(residual())
    b.write_bytes(renamed(residual()))
    c.write_bytes(residual(extra=True))
    same = harness.diff(a, b)
    assert same.same and not same.worse and "equivalent" in repr(same)
    found = harness.diff(a, c)
    frame = found.to_frame()
    assert not found.same and len(frame) == len(found.found.rows)
    assert [row.state for row in found.found.rows] == list(frame["state"]) and "added" in set(frame["state"])


def test_what_does_not_ship_is_the_error_of_the_command(tmp_path):
    nights = Nights(tmp_path / "results")
    nights.run(record())
    nights.store.close()
    with pytest.raises(harness.HarnessError, match="unknown cell"):
        harness.export("mnist-cnn/ptq-int8-io/host-litert/other", tmp_path / "ship", results=tmp_path / "results")
    with pytest.raises(harness.HarnessError):  # its model was not kept
        harness.export("mnist-cnn/ptq-int8-io/host-litert/cpu", tmp_path / "ship", results=tmp_path / "results")
    assert not (tmp_path / "ship").exists()
