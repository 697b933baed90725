"""Answers that guessing reaches, and labels numbered otherwise: what is told, and how often of a right question."""

from __future__ import annotations

import numpy as np
import pytest

from harness.measure.chance import at_chance, no_better_than_constant, renumbered


def answers_of(labels, right, rng, classes=None):
    """Answers that are right with a probability, and else any class."""
    classes = classes or int(labels.max()) + 1
    guesses = rng.integers(0, classes, len(labels))
    return np.where(rng.random(len(labels)) < right, labels, guesses)


def labels_of(rng, count=500, classes=10):
    return rng.integers(0, classes, count)


def test_shuffled_labels_are_at_chance():
    rng = np.random.default_rng(0)
    labels = labels_of(rng)
    words = at_chance(answers_of(labels, 0.9, rng), rng.permutation(labels))
    assert words is not None and "of 500 answers are right, where guessing is right" in words


def test_one_class_for_every_sample_is_at_chance_however_often_it_is_right():
    labels = (np.random.default_rng(1).random(3000) < 0.05).astype(int)
    words = at_chance(np.zeros(3000, int), labels)
    assert words is not None and "the model gives class 0 for every sample" in words


def test_rare_samples_that_are_found_are_no_chance_although_the_constant_is_as_right():
    """5 % are positive; the model finds half of them, with as many false alarms: as right as saying no to all."""
    labels = np.zeros(2000, int)
    labels[:100] = 1
    answers = np.zeros(2000, int)
    answers[:50] = answers[1000:1050] = 1
    assert (answers == labels).mean() == (labels == 0).mean()
    assert at_chance(answers, labels) is None


@pytest.mark.parametrize("classes, right", [(2, 0.4), (10, 0.3), (1000, 0.3)])
def test_a_weak_model_is_not_called_one_at_chance(classes, right):
    """Kappa .3 and .4, on 300 data sets each: not one alarm. The bound is 1 in 1,000 from kappa .25 on."""
    rng = np.random.default_rng(classes)
    for count in (40, 200, 1000):
        for _ in range(100):
            labels = labels_of(rng, count, classes)
            assert at_chance(answers_of(labels, right, rng, classes), labels) is None


@pytest.mark.parametrize("count", [2, 9, 20])
def test_of_few_samples_nothing_is_told(count):
    labels = np.arange(count) % 2
    assert at_chance(np.arange(count) // 2 % 2, labels) is None


def test_no_answer_at_all_is_another_matter():
    assert at_chance(np.full(500, -1), np.arange(500) % 10) is None


def test_the_moments_are_those_of_all_orders():
    from itertools import permutations

    from harness.measure.chance import _permuted

    answers, labels = np.array([0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 1])
    hits = [sum(a == labels[i] for a, i in zip(answers, order, strict=True)) for order in permutations(range(5))]
    mean, variance = _permuted(answers, labels)
    assert mean == pytest.approx(np.mean(hits)) and variance == pytest.approx(np.var(hits))


# Another numbering


@pytest.mark.parametrize(
    "numbering, words",
    [
        (lambda y: y + 1, "each label is the model's class plus 1"),
        (lambda y: y - 1, "each label is the model's class minus 1"),
        (lambda y: (y + 1) % 10, "is called"),
        (lambda y: 9 - y, "is called"),
        (
            lambda y: np.array([0, 1, 8, 9, 2, 3, 4, 5, 6, 7])[y],
            "the model's class 2 is called 8, 3 is called 9, 4 is called 2",
        ),
    ],
)
@pytest.mark.parametrize("right", [0.5, 0.9])
def test_another_numbering_is_found_and_put_into_words(numbering, words, right):
    rng = np.random.default_rng(3)
    labels = labels_of(rng)
    found = renumbered(answers_of(labels, right, rng), numbering(labels))
    assert found is not None and words in found.words
    assert found.renumbered_right > 0.4 * found.samples > found.right


def test_two_classes_the_wrong_way_round_are_found():
    rng = np.random.default_rng(4)
    labels = labels_of(rng, 200, 2)
    found = renumbered(answers_of(labels, 0.8, rng), 1 - labels)
    assert found is not None and found.words == "the model's class 0 is called 1, 1 is called 0"


@pytest.mark.parametrize("right", [0.0, 0.1, 0.3, 0.9, 1.0])
def test_no_numbering_is_found_where_the_given_one_is_right(right):
    rng = np.random.default_rng(int(right * 10))
    for _ in range(60):
        classes = int(rng.integers(2, 12))
        labels = labels_of(rng, int(rng.integers(40, 600)), classes)
        assert renumbered(answers_of(labels, right, rng, classes), labels) is None


def test_a_class_that_is_always_taken_for_another_is_no_numbering():
    """One pair of ten classes exchanged is a bad model; it is not what labels look like that count otherwise."""
    rng = np.random.default_rng(5)
    labels = labels_of(rng)
    swapped = np.array([0, 1, 2, 4, 3, 5, 6, 7, 8, 9])[labels]
    assert renumbered(answers_of(swapped, 0.9, rng), labels) is None


def test_a_model_of_one_answer_has_no_numbering():
    assert renumbered(np.zeros(500, int), np.ones(500, int)) is None


# Numbers


def test_numbers_no_nearer_than_the_median_are_at_chance():
    rng = np.random.default_rng(6)
    labels = rng.normal(size=(400, 2))
    assert no_better_than_constant(rng.normal(size=(400, 2)), labels) is not None
    assert no_better_than_constant(labels + rng.normal(size=(400, 2)) * 0.5, labels) is None


def test_the_median_itself_is_no_model_and_cannot_be_told_from_one():
    labels = np.random.default_rng(7).normal(size=(400, 1))
    assert no_better_than_constant(np.full((400, 1), np.median(labels)), labels) is None
