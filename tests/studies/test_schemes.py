"""The tables of arXiv 1806.08342 from records: layout, what is missing, and which of the known effects show."""

import pytest

from harness.core.errors import UserInputError
from harness.reports.studies.schemes import FLOAT, known_effects, scheme_names, scheme_tables
from harness.studies.schemes import tables_of
from harness.variants.recipe import parse_recipe
from tests.support.answered import FLOATS, LABELS, Told, wrong_at

#: as the paper has it of a depthwise-separable network, in wrong answers of 500
LIKE_THE_PAPER = {
    "ptq-float32": 20, "ft-float32": 20,
    "ptq-sim[w8,a8,per-tensor,asymmetric]": 450, "ptq-sim[w8,a8]": 23, "qat-sim[w8,a8,per-tensor,asymmetric]": 24,
    "ft-sim[w8,a8,per-tensor,asymmetric]": 440, "ptq-sim[w8]": 21, "qat-sim[w8]": 20,
}  # fmt: skip


def records(wrong):
    told = Told(LABELS, FLOATS)
    return [told.cell(recipe, wrong_at(LABELS, range(errors))) for recipe, errors in wrong.items()]


def test_every_combination_has_a_recipe_and_stands_once():
    names = scheme_names((8, 4))
    assert len(names) == len(set(names)) == 2 + 2 * 2 * 4 * 3
    assert all(parse_recipe(name).name == name for name in names)


def test_tables_have_the_papers_layout():
    tables = scheme_tables(records(LIKE_THE_PAPER))
    assert [(t.weight_bits, t.activation_bits) for t in tables] == [(8, None), (8, 8)]
    frame = tables[1].to_frame()
    assert list(frame.columns) == [
        "asymmetric, per-layer", "symmetric, per-layer", "asymmetric, per-channel", "symmetric, per-channel", FLOAT,
    ]  # fmt: skip
    assert frame.loc["post-training", "asymmetric, per-layer"] == pytest.approx(0.1)
    assert frame.loc["quantization-aware", "asymmetric, per-layer"] == pytest.approx(0.952)
    assert frame["symmetric, per-layer"].isna().all() and (frame[FLOAT] == 0.96).all()
    assert "tables 3 and 4" in tables[1].title


def test_known_effects_show_where_they_are():
    effects = {effect.name: effect for effect in known_effects(scheme_tables(records(LIKE_THE_PAPER)))}
    assert {name: effect.appears for name, effect in effects.items()} == {
        "per-layer-collapses-8": True,
        "per-channel-holds-8": True,
        "per-channel-beats-per-layer-8": True,
        "qat-recovers-8": True,
    }
    assert "-86.0 points" in effects["per-layer-collapses-8"].seen


def test_effects_that_are_not_there_are_said_not_to_be():
    layer = "sim[w8,a8,per-tensor,asymmetric]"
    flat = LIKE_THE_PAPER | {f"ptq-{layer}": 21, f"ft-{layer}": 21, f"qat-{layer}": 22}
    effects = {effect.name: effect for effect in known_effects(scheme_tables(records(flat)))}
    appears = {name: effect.appears for name, effect in effects.items()}
    assert appears["qat-recovers-8"] is None and "nothing was lost" in effects["qat-recovers-8"].seen
    assert not any(appears[n] for n in appears if n != "per-channel-holds-8") and appears["per-channel-holds-8"]
    del flat["qat-sim[w8,a8,per-tensor,asymmetric]"]
    appears = {effect.name: effect.appears for effect in known_effects(scheme_tables(records(flat)))}
    assert appears["qat-recovers-8"] is None


def test_training_regains_against_the_float_model_that_was_trained_as_long():
    """Quantization-aware training that is only more training regains nothing."""
    layer = "sim[w8,a8,per-tensor,asymmetric]"
    trained = LIKE_THE_PAPER | {"ft-float32": 2, f"ptq-{layer}": 90, f"ft-{layer}": 40, f"qat-{layer}": 38}
    (effect,) = (e for e in known_effects(scheme_tables(records(trained))) if e.name == "qat-recovers-8")
    assert effect.appears is False and "-7.6 points" in effect.seen and "-7.2 points" in effect.seen


def test_without_the_float_model_there_is_nothing_to_say():
    with pytest.raises(UserInputError, match="float model has no score"):
        tables_of(records({"ptq-sim[w8]": 20}))
    with pytest.raises(UserInputError):
        tables_of([])
