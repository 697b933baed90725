"""A file of another format is told by its name and by what to do; nothing more of it is read than that takes."""

from __future__ import annotations

import json
import tracemalloc
import zipfile

import numpy as np
import pytest

from harness.core.errors import UserInputError
from harness.core.formats import HDF5, KERAS, TFLITE, format_of, format_of_file, has_tflite_name
from harness.run.measured import measure_plan
from harness.run.options import RunOptions
from harness.tflite.graph import read_graph
from harness.workloads.keras.file import read_keras_file
from tests.support import tiny_model


def written(path, name):
    """A file as the program of that name writes them."""
    target = path / name
    if name in ("torch.pt", "model.keras", "arrays.npz", "other.zip"):
        first = {"torch.pt": "archive/data.pkl", "model.keras": "metadata.json", "arrays.npz": "x.npy"}.get(name, "a")
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr(first, b"{}")
        return target
    target.write_bytes(BYTES[name])
    return target


BYTES = {
    # ir_version 8, producer_name "pytorch", producer_version "2.1.0", then the graph
    "model.onnx": b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80\x01\x00\xff",
    # written without a producer: only the name tells
    "bare.onnx": b"\x08\x08:\x80\x01\x00\xff",
    "old.pth": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
    "model.gguf": b"GGUF\x03\0\0\0",
    "w.safetensors": b"\x40\0\0\0\0\0\0\0{}\0",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
    "page": b"<!DOCTYPE html><html>404</html>",
    "model.json": json.dumps({"class_name": "Sequential"}).encode(),
    "packed": b"\x1f\x8b\x08\0",
    "graph.pb": b"\x0a\x10\x0a\x05input\0",
    "words": b"hello there\n",
    "empty": b"",
}
WORDS = {
    "model.onnx": "an ONNX model",
    "bare.onnx": "an ONNX model",
    "torch.pt": "a PyTorch file",
    "old.pth": "a Python pickle",
    "model.gguf": "a GGUF file",
    "w.safetensors": "a safetensors file",
    "lfs": "a Git LFS pointer",
    "page": "a page",
    "model.json": "a text (JSON)",
    "packed": "packed by gzip",
    "graph.pb": "a graph of TensorFlow",
    "words": "a text",
    "empty": "empty",
    "arrays.npz": "an .npz of arrays",
    "other.zip": "a zip archive",
}


@pytest.mark.parametrize("name", WORDS)
def test_another_format_is_told_by_its_name_wherever_a_model_is_asked_for(tmp_path, name):
    path = written(tmp_path, name)
    found = format_of_file(path)
    assert found is not None and found.words.startswith(WORDS[name]) and found.hint
    for ask in (
        read_keras_file,
        lambda path: measure_plan(RunOptions(workloads=(str(path),), devices=("host-litert",), recipes=()), 4),
    ):
        with pytest.raises(UserInputError, match="expected a") as caught:
            ask(path)
        assert WORDS[name] in caught.value.what and caught.value.where == str(path) and caught.value.hint == found.hint
    if name != "empty":
        with pytest.raises(UserInputError, match="is not a .tflite file") as caught:
            read_graph(path)
        assert WORDS[name] in caught.value.what and caught.value.hint == found.hint


def test_models_that_are_read_are_known_and_noise_is_nothing(tmp_path):
    assert format_of(tiny_model.mnist_cnn()[:512]) is TFLITE
    assert format_of(b"\x89HDF\r\n\x1a\n") is HDF5 and format_of_file(written(tmp_path, "model.keras")) is KERAS
    rng = np.random.default_rng(0)
    assert all(format_of(b"\xff" + rng.bytes(200), "model.tflite") is None for _ in range(50))
    assert format_of_file(tmp_path) is None and format_of_file(tmp_path / "none") is None
    assert has_tflite_name("A.TFLITE") and not has_tflite_name("tflite")


@pytest.mark.parametrize("identifier", [b"TFL3", bytes(4)])
def test_a_file_of_gigabytes_costs_no_memory(tmp_path, identifier):
    path = tmp_path / "large.tflite"
    with path.open("wb") as file:
        file.write(bytes(4) + identifier)
        file.truncate(3 << 30)
    tracemalloc.start()
    with pytest.raises(UserInputError, match="has 3,221,225,472 bytes|is not a .tflite"):
        read_graph(path)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1 << 20
