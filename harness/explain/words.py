"""The answer in one sentence: what is wrong on the device, else where the loss comes from, else that nothing is lost."""

from __future__ import annotations

from harness.core.numbers import significant_text
from harness.explain.cause import worst_layers
from harness.explain.document import Explanation, Layer, OpDivergence

#: an interval of one layer among many must be narrower than 95 % to accuse it
_ALPHA = 0.05
#: error that is left with a layer in float, below which the layer stands out
_STANDS_OUT = 0.7
#: two float kernels differ by about as much
_NOTHING_DB = 80.0


def answer_of(e: Explanation) -> str:
    """One sentence, for a reader who reads nothing else."""
    if e.first_wrong is not None:
        return _wrong(e)
    if e.whole == "wrong":
        seen = "they change when inner tensors are looked at" if e.whole_changed else "no op of it stands out"
        where = f"{e.device}, backend {e.backend}"
        return (
            f"each op that could be asked is right, but the outputs of the whole model on {where}, are not "
            f"({e.whole_reason}), and {seen}: what it fuses or how it shares memory is the suspect"
        )
    return f"{_device_words(e)}{_loss(e)}"


def _wrong(e: Explanation) -> str:
    layer = next(layer for layer in e.layers if layer.node == e.first_wrong)
    told = next((d for d in (layer.alone, layer.inside) if d is not None and d.is_wrong), None)
    wrong = [other for other in e.layers if _is_wrong(other)]
    rest = f"; so {'is' if len(wrong) == 2 else 'are'} {_names(wrong[1:])}" if len(wrong) > 1 else ""
    if told is None:
        piece = next(p for p in e.pieces if p.verdict == "wrong")
        nodes = f"nodes {piece.nodes[0]} to {piece.nodes[1]}"
        return f"every op is right alone, but partition {piece.partition} ({nodes}) as a whole is not: {piece.reason}"
    first = f"{layer.title} is the first op at which {e.device}, backend {e.backend}, leaves the reference"
    return f"{first}: {divergence_words(told)}, {_where(layer)}{rest}"


def divergence_words(d: OpDivergence) -> str:
    """What an op's divergence is, with the number behind it."""
    if d.kind is None:
        return d.reason or "not told"
    if d.kind == "exact":
        return "every output is the nearest step"
    if d.kind == "rounding":
        return f"rounds otherwise: {d.not_nearest or 0:.1%} of its outputs are not the nearest step, none is over 1 step off"
    if d.kind == "right":
        return f"right to within {significant_text(d.worst or 0)} times its rounding noise"
    unit = "steps" if d.unit == "steps" else "times its rounding noise"
    share = f"its worst output is {d.worst:.3g} {unit} off"
    if d.beyond is not None:
        share = f"{d.beyond:.0%} of its outputs are more than 1 step off, the worst by {d.worst:.3g} {unit}"
    pattern = f"; {d.pattern}" if d.pattern else ""
    return f"{'saturation' if d.kind == 'saturation' else 'a wrong kernel'} ({share}{pattern})"


def _where(layer: Layer) -> str:
    alone, inside = (d is not None and d.is_wrong for d in (layer.alone, layer.inside))
    if alone and inside:
        return "alone as well as inside the model"
    if alone:
        return "when it runs alone"
    return "inside the model, while it is right alone" if layer.alone and layer.alone.kind else "inside the model"


def _is_wrong(layer: Layer) -> bool:
    return any(d is not None and d.is_wrong for d in (layer.alone, layer.inside))


def _names(layers: list[Layer]) -> str:
    shown = [layer.title for layer in layers[:3]]
    return " and ".join(shown) + (f" and {len(layers) - 3} more" if len(layers) > 3 else "")


def _device_words(e: Explanation) -> str:
    asked = [layer for layer in e.layers if layer.alone is not None and layer.alone.kind is not None]
    if not asked:
        return ""
    left = sum(layer.alone is not None and layer.alone.kind is None for layer in e.layers)
    rounding = [layer for layer in asked if layer.alone and layer.alone.kind == "rounding"]
    how = f"{len(rounding)} round otherwise, none is wrong" if rounding else "none is wrong"
    more = f" ({left} could not be asked)" if left else ""
    return f"the device computes what the model says: of {len(asked)} ops{more} {how}; "


def _loss(e: Explanation) -> str:
    worst = worst_layers(e.layers)
    if not e.is_quantized:
        return "nothing in the model is quantized"
    if not worst:
        return _no_layers(e)
    first = worst[0]
    cause = f": {first.cause}" if first.cause else ""
    own = first.error.own_db if first.error is not None else None
    adds = "" if own is None else f"{first.title} adds most error ({own:.1f} dB below its signal){cause}"
    if e.score is None or e.float_score is None or e.metric is None:
        return adds
    if e.score == e.float_score and (e.lost_p is None or e.lost_p > _ALPHA):
        return f"{e.metric} is that of float ({e.score:.4f} on {e.loss_samples} samples); {adds}"
    accused = _accused(e)
    points = f"{e.metric} is {e.score:.4f} where float has {e.float_score:.4f} on {e.loss_samples} samples"
    if e.lost_p is not None and e.lost_p > _ALPHA:
        return f"{points}, which so few cannot tell from no loss; {adds}"
    if accused is None:
        return f"{points}, and no layer alone explains the difference; {adds}"
    loss = accused.loss
    assert loss is not None and loss.regained is not None
    why = f": {accused.cause}" if accused.cause else ""
    bounds = f" [{loss.low:+.4f}, {loss.high:+.4f}]" if loss.low is not None and loss.high is not None else ""
    return f"{points}, and {accused.title} alone back in float gives {loss.regained:+.4f}{bounds} of it{why}"


def _no_layers(e: Explanation) -> str:
    """Where no layer's own part is known, or none adds anything."""
    known = [layer for layer in e.layers if layer.error is not None and layer.error.sqnr_db is not None]
    if known:
        last = known[-1]
        assert last.error is not None
        return f"{last.title} is {last.error.sqnr_db:.1f} dB from float, and which layer adds that cannot be told from the file"
    return "nothing is lost to quantization" if e.error_samples else "the loss to quantization is not known"


def _accused(e: Explanation) -> Layer | None:
    """The layer that regains most, where that is no chance among so many layers."""
    tried = [layer for layer in e.layers if layer.loss is not None and layer.loss.regained is not None]
    lost = (e.float_score or 0) - (e.score or 0)
    better = [
        layer
        for layer in tried
        if layer.loss is not None
        and layer.loss.regained is not None
        and layer.loss.regained * lost > 0
        and (layer.loss.p is None or layer.loss.p * len(tried) < _ALPHA)
    ]
    return max(better, key=lambda layer: abs(layer.loss.regained or 0) if layer.loss else 0, default=None)
