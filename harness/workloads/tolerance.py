"""What became of the bounds that a user could set for the outcome `wrong`: an error that names the one in their place."""

from __future__ import annotations

from harness.core.errors import UserInputError, unknown_name

#: the bounds of earlier versions
GONE = ("integer_lsb", "integer_share", "npu_agreement", "float_nrmse", "float_agreement")
_IN_ITS_PLACE = {
    "integer": "integer outputs are wrong when their RMS difference to the model's float twin is over 2 N, N being the largest "
    "of the model's own quantization error, half a step of the output, and 0.5 % of the outputs' spread",
    "npu": "outputs of a delegate are judged like any other, by 2 N of the model's own quantization error; one that sums in "
    "float16 has `float16_accumulation: true` in its table, and N is then at least 4 % of the outputs' spread",
    "float": "float outputs are wrong when their RMS difference to the model's float twin is over 2 N, N being 0.5 % of the "
    "outputs' spread (of hybrid models at least 2.5 %)",
}


def tolerance_gone(name: str) -> UserInputError:
    """The error for a bound of an earlier version, or for what never was one.

    Args:
        name: of the bound, such as `integer_lsb`; empty for all of them (the class `Tolerance`).
    """
    family = name.partition("_")[0]
    if name and name not in GONE and family not in _IN_ITS_PLACE:
        return unknown_name("tolerance", name, GONE)
    told = f"`--tolerance {name}`" if name else "`Tolerance`"
    return UserInputError(
        f"{told} is gone: the model itself says how far its outputs may be off. Now {_IN_ITS_PLACE[family or 'integer']}",
        hint="docs/reference/outcomes.md has the rule; the figures of every cell stand in its record",
    )
