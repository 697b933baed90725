"""Cache keys of a build: what changes them, and what does not."""

from __future__ import annotations

import dataclasses

import pytest

from harness.variants.build.keys import KeyMaker
from harness.variants.recipe import select_recipes
from harness.workloads.registry import get_workload
from tests.support.fixtures_build import bundled_digits


def keys_of(recipe="ptq-int8-io", seed=0, **changes):
    workload = dataclasses.replace(get_workload("mnist-cnn"), **changes)
    return KeyMaker().keys(workload, select_recipes([recipe])[0], bundled_digits(), seed)


@pytest.mark.parametrize(
    "change",
    [
        {"architecture_version": 99},
        {"dataset_digest": lambda source: "0" * 64},
        {"schedule": dataclasses.replace(get_workload("mnist-cnn").schedule, epochs=7)},
        {"schedule": dataclasses.replace(get_workload("mnist-cnn").schedule, representative_samples=7)},
    ],
)
def test_a_changed_model_schedule_or_dataset_changes_every_key(change):
    assert keys_of().float_key != keys_of(**change).float_key
    assert keys_of().artifact_key != keys_of(**change).artifact_key


def test_fine_tuning_does_not_change_the_float_training():
    schedule = dataclasses.replace(get_workload("mnist-cnn").schedule, finetune_epochs=9)
    assert keys_of("qat-int8-io").float_key == keys_of("qat-int8-io", schedule=schedule).float_key
    assert keys_of("qat-int8-io").training_key != keys_of("qat-int8-io", schedule=schedule).training_key


def test_seeds_and_recipes_have_keys_of_their_own():
    keys = [
        keys_of(r, s).artifact_key
        for r in ("ptq-int8-io", "ptq-int8", "qat-q[last]-int8", "qat-q[last,w4]-int8")
        for s in (0, 1)
    ]
    assert len(set(keys)) == 8


def test_package_versions_are_in_the_key_and_not_in_the_request(monkeypatch):
    before = keys_of("ptq-aeq-dyn8")
    from harness.variants.build import keys as keys_module

    real = keys_module.package_version
    monkeypatch.setattr(
        keys_module, "package_version", lambda name: "9.9" if name == "ai-edge-quantizer" else real(name)
    )
    after = keys_of("ptq-aeq-dyn8")
    assert after.artifact_key != before.artifact_key
    assert (after.request_key, after.float_key) == (before.request_key, before.float_key)
    assert keys_of("ptq-int8-io").artifact_key == keys_of("ptq-int8-io").artifact_key
