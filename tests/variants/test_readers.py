"""Which Keras builds what, and that the cache's keys know."""

from __future__ import annotations

import numpy as np
import pytest

from harness.variants.build import keys as keys_module
from harness.variants.build.keys import KeyMaker
from harness.variants.build.readers import loops, readers
from harness.variants.recipe import parse_recipe
from harness.workloads.datasets import DataSource
from harness.workloads.registry import get_workload
from tests.support.workload_files import layer, sequential, write_h5, write_keras_zip

HEAD = layer("Dense", units=10, activation="softmax")
INPUT = layer("InputLayer", batch_shape=[None, 6, 8])


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A workload of a file with these layers, as Keras 2 or 3 writes it."""
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))
    np.savez(tmp_path / "samples.npz", x=np.zeros((20, 6, 8), np.float32), y=np.arange(20) % 10)

    def make(*layers, version="3.15.1", write=write_keras_zip):
        suffix = "h5" if write is write_h5 else "keras"
        path = write(tmp_path / f"m-{version}.{suffix}", sequential(INPUT, *layers, HEAD), version)
        return get_workload(str(path), data=tmp_path / "samples.npz")

    return make


def keys(workload, recipe):
    return KeyMaker().keys(workload, parse_recipe(recipe), DataSource(), 0)


@pytest.mark.parametrize(
    "kind, recipe, expected",
    [
        ("Flatten", "ptq-int8-io", (3,)),
        ("Flatten", "ft-int8-io", (2, 3)),
        ("Flatten", "qat-int8-io", (2,)),
        ("Flatten", "qat-dense-default", (2,)),
        ("GRU", "ptq-int8-io", (3,)),
        ("LSTM", "ptq-int8-io", (2, 3)),
        ("LSTM", "qat-int8-io", (2,)),
    ],
)
def test_keras_3_builds_what_needs_no_qat_and_keras_2_what_only_it_can(own, kind, recipe, expected):
    assert readers(own(layer(kind, units=4)), parse_recipe(recipe)) == expected


@pytest.mark.parametrize("write", [write_keras_zip, write_h5])
@pytest.mark.parametrize("version, major", [("2.15.0", 2), ("3.15.1", 3), ("4.0.0", 3), ("", 2)])
def test_a_file_is_read_by_the_keras_that_wrote_it(own, version, major, write):
    workload = own(layer("Flatten"), version=version, write=write)
    assert workload.keras_major == major
    assert readers(workload, parse_recipe("ptq-float32")) == (major,)


def test_an_lstm_inside_a_wrapper_counts(own):
    workload = own(layer("Bidirectional", layer=layer("LSTM", units=4)))
    assert readers(workload, parse_recipe("ptq-float32")) == (2, 3)


def test_loops_are_the_recurrent_layers_that_are_not_unrolled(own):
    workload = own(layer("LSTM", units=4), layer("GRU", units=4), layer("SimpleRNN", units=4, unroll=True))
    assert loops(workload) == ("'gru' (GRU)", "'lstm' (LSTM)")
    assert loops(get_workload("mnist-cnn")) == ()


def test_keys_know_the_readers_and_the_version_of_keras_3(own, monkeypatch):
    two, three = (own(layer("Flatten"), version=version) for version in ("2.15.0", "3.15.1"))
    assert "keras" in keys(three, "ptq-float32").packages and "keras" not in keys(two, "ptq-float32").packages
    before = {name: keys(w, "ptq-float32") for name, w in (("two", two), ("three", three))}
    real = keys_module.package_version
    monkeypatch.setattr(keys_module, "package_version", lambda name: "99" if name == "keras" else real(name))
    assert keys(two, "ptq-float32") == before["two"]
    assert keys(three, "ptq-float32").float_key != before["three"].float_key
    assert keys(three, "ptq-float32").artifact_key != before["three"].artifact_key


def test_another_reader_is_another_key(own, monkeypatch):
    workload = own(layer("GRU", units=4))
    before = keys(workload, "ptq-float32")
    monkeypatch.setattr(keys_module, "readers", lambda workload, recipe: (2, 3))
    after = keys(workload, "ptq-float32")
    assert (after.artifact_key == before.artifact_key, after.float_key == before.float_key) == (False, True)
    monkeypatch.setattr(keys_module, "READER_VERSION", 99)
    assert keys(workload, "ptq-float32").float_key != before.float_key


def test_published_workloads_have_the_keys_that_they_had(monkeypatch):
    fields = KeyMaker()._fields(get_workload("mnist-cnn"), parse_recipe("qat-int8-io"), DataSource(), 0)
    assert not {"readers", "reader_version"} & {key for stage in fields.values() for key in stage}
