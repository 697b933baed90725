"""Scores on samples as they are and rescaled: which of the two the model was trained on."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.rescaled import explains_better, meets_better
from harness.workloads.checks.scales import USUAL, sensible


def net(seed=0, bias=0.3):
    """A small network of ReLUs over 16 pixels in 0..1: logits of 5 classes."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(16, 32)), rng.normal(size=(32, 5))
    shift = rng.normal(size=32) * bias
    return lambda x: np.maximum(x @ first + shift, 0) @ second


def drawn(logits, rng):
    """Labels drawn from the probabilities that logits stand for: what a model whose confidence is right would see."""
    shares = softmax(logits)
    return (shares.cumsum(axis=1) > rng.random((len(logits), 1))).argmax(axis=1)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def pixels(rng, count=400):
    return rng.random((count, 16))


@pytest.mark.parametrize("squashed", [False, True])
@pytest.mark.parametrize("factor", [16, 255])
def test_a_network_of_relus_fed_larger_pixels_is_seen_although_it_is_right_as_often(factor, squashed):
    rng = np.random.default_rng(1)
    model, x = net(bias=0.0), pixels(rng)
    labels = drawn(model(x), rng)
    good, given = model(x), model(x * factor)
    assert (good.argmax(axis=1) == given.argmax(axis=1)).all()
    if squashed:
        good, given = softmax(good), softmax(given)
    assert explains_better(given, good, labels, squashed=squashed, alternatives=5)
    assert not explains_better(good, given, labels, squashed=squashed, alternatives=5)


@pytest.mark.parametrize("temperature", [0.001, 0.1, 0.5, 1, 2, 4])
def test_a_right_scale_is_never_doubted_however_confident_the_model_is(temperature):
    """60 models and data sets: the labels are drawn from the model's own probabilities at this temperature."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        model, x = net(seed), pixels(rng)
        labels = drawn(model(x) / temperature, rng)
        low, high = float(x.min()), float(x.max())
        others = list(sensible(low, high))
        for rescaling in others:
            assert not explains_better(
                model(x), model(rescaling.of(x)), labels, squashed=False, alternatives=len(others)
            )


def test_labels_of_other_samples_say_nothing_about_a_scale():
    rng = np.random.default_rng(2)
    model, x = net(), pixels(rng)
    assert not explains_better(model(x * 255), model(x), rng.integers(0, 5, len(x)), squashed=False, alternatives=5)


def test_one_probability_is_two_classes():
    rng = np.random.default_rng(3)
    x = pixels(rng)
    logit = (x - 0.5) @ rng.normal(size=(16, 1)) * 2
    labels = (rng.random(len(x)) < 1 / (1 + np.exp(-logit[:, 0]))).astype(int)
    good, given = 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(-np.clip(logit * 255, -700, 700)))
    assert explains_better(given, good, labels, squashed=True, alternatives=5)
    assert not explains_better(good, given, labels, squashed=True, alternatives=5)


def test_numbers_are_compared_by_their_errors():
    rng = np.random.default_rng(4)
    labels = rng.normal(size=(300, 2))
    near, far = labels + rng.normal(size=(300, 2)) * 0.1, labels * 20
    assert meets_better(far, near, labels, alternatives=4)
    assert not meets_better(near, far, labels, alternatives=4)
    assert not meets_better(near, labels + rng.normal(size=(300, 2)) * 0.09, labels, alternatives=4)


@pytest.mark.parametrize(
    "low, high, names",
    [
        (0, 255, ["divided by 255", "0..255 to -1..1", "minus 128", "0..255 to 0..16"]),
        (0, 1, ["times 255", "0..1 to -1..1", "times 16"]),
        (-1, 1, ["-1..1 to 0..255", "-1..1 to 0..1", "-1..1 to -128..127", "times 32768"]),
        (0, 16, ["divided by 16", "0..16 to 0..255"]),
        (-32000, 32000, ["divided by 32768"]),
        (-3.1, 4.2, []),
    ],
)
def test_only_rescalings_that_make_sense_of_the_values_are_tried(low, high, names):
    found = {r.name for r in sensible(low, high)}
    assert (
        set(names)
        <= found
        <= {
            *names,
            *(
                r.name
                for r in USUAL
                if r.name
                in (
                    "plus 128",
                    "-128..127 to -1..1",
                    "divided by 255",
                    "0..255 to -1..1",
                    "minus 128",
                    "0..255 to 0..16",
                    "times 32768",
                )
            ),
        }
    )


def trained(factor, offset, epochs):
    """A network trained on scikit-learn's digits on a scale; its logits on the test samples of another one, and their labels."""
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.data))
    x, labels = (digits.data / 16).astype(np.float32)[order], digits.target[order]
    model = MLPClassifier((64,), max_iter=epochs, batch_size=32, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x[:1297] * factor + offset, labels[:1297])

    def logits(values):
        return np.log(np.maximum(model.predict_proba(values), 1e-12))

    return logits, x[1297:], labels[1297:]


@pytest.mark.parametrize("epochs", [4, 25])
def test_minus_1_to_1_into_a_model_of_0_to_1_is_told_although_it_is_right_most_of_the_time(epochs):
    logits, x, labels = trained(1, 0, epochs)
    fed = x * 2 - 1
    given = logits(fed)
    assert 0.7 < (given.argmax(axis=1) == labels).mean() < (logits(x).argmax(axis=1) == labels).mean()
    others = list(sensible(-1.0, 1.0))
    told = [r.name for r in others if explains_better(given, logits(r.of(fed)), labels, squashed=False, alternatives=5)]
    assert "-1..1 to 0..1" in told


@pytest.mark.parametrize(("factor", "offset"), [(1, 0), (2, -1), (255, 0)])
@pytest.mark.parametrize("epochs", [1, 4])
def test_the_scale_that_a_network_was_trained_on_is_not_told(factor, offset, epochs):
    logits, x, labels = trained(factor, offset, epochs)
    fed = (x * factor + offset).astype(np.float32)
    given = logits(fed)
    if (given.argmax(axis=1) == labels).mean() < 0.6:
        return  # it has not learned anything yet
    for rescaling in sensible(float(fed.min()), float(fed.max())):
        assert not explains_better(given, logits(rescaling.of(fed)), labels, squashed=False, alternatives=5)
