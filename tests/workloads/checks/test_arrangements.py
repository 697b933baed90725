"""The usual other layouts of images: which there are for a shape, and that each undoes its mistake."""

import numpy as np
import pytest

from harness.workloads.checks.arrangements import arrangements


@pytest.mark.parametrize(
    "shape, keys",
    [
        ((8, 8, 3), ["channels", "layout", "layout"]),
        ((8, 6, 3), ["channels", "layout"]),
        ((8, 8, 1), ["layout"]),
        ((28, 28), ["layout"]),
        ((49, 10), []),
        ((3, 3, 3), []),
        ((100,), []),
        ((4, 8, 8, 3), []),
    ],
)
def test_which_there_are(shape, keys):
    assert [a.setting[0] for a in arrangements(shape)] == keys


def test_each_undoes_its_mistake():
    x = np.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3)
    mistakes = {
        ("channels", "bgr"): x[..., ::-1],
        ("layout", "planes"): x.transpose(0, 3, 1, 2).reshape(x.shape),
        ("layout", "nwhc"): x.transpose(0, 2, 1, 3),
    }
    found = {a.setting: a for a in arrangements(x.shape[1:])}
    assert found.keys() == mistakes.keys()
    for setting, mistaken in mistakes.items():
        assert np.array_equal(found[setting].of(mistaken), x), setting
