"""The artifact: a file, or the reason why there is none."""

import pytest

from harness.core.errors import UnsupportedError
from harness.variants.artifact import Artifact


def test_a_built_artifact_has_its_file_and_hash(tmp_path):
    built = Artifact(key="k", workload="w", recipe="r", seed=0, path=tmp_path / "model.tflite", sha256="ab" * 32)
    assert built.file == tmp_path / "model.tflite"
    assert built.file_sha256 == "ab" * 32


@pytest.mark.parametrize("wanted", ["file", "file_sha256"])
def test_asking_a_refused_artifact_for_its_file_says_why_there_is_none(wanted):
    refused = Artifact(key="k", workload="w", recipe="r", seed=0, path=None, refused="no int4 kernel for CONV_2D")
    with pytest.raises(UnsupportedError, match="^w/r: there is no file: no int4 kernel for CONV_2D"):
        getattr(refused, wanted)
