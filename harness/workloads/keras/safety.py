"""What a saved model may bring: built-in layers and numbers. Code, pickles and files elsewhere on the disk are refused by name.

Nothing here imports Keras: a description is judged before anything reads it. What passes is still loaded in Keras' own
safe mode, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.core.errors import UserInputError

#: a model within a model takes about 5 levels
_MAX_DEPTH = 100
#: packages whose classes files may name: Keras 3, Keras 2 and TensorFlow Model Optimization
_PACKAGES = {"keras", "tf_keras", "tensorflow_model_optimization"}
_LAMBDAS = {"Lambda", "__lambda__"}
#: objects of TensorFlow that stand for types, and are made by looking a class up
_TYPES = {"__typespec__", "TypeSpec", "CompositeTensor"}
#: built-in layers that hold or name something outside the model description -> why they are refused
_FOREIGN = {
    "TFSMLayer": "runs a SavedModel from another place on the disk",
    "JaxLayer": "runs a JAX function",
    "FlaxLayer": "runs a Flax module",
    "TorchModuleWrapper": "holds a pickled PyTorch module, which is never loaded",
    "StringLookup": "looks strings up in a vocabulary, which no .tflite does",
    "IntegerLookup": "looks numbers up in a vocabulary, which no .tflite does",
    "TextVectorization": "splits strings, which no .tflite does",
    "Hashing": "hashes strings, which no .tflite does",
    "HashedCrossing": "hashes strings, which no .tflite does",
}
#: wrappers of TensorFlow Model Optimization that training leaves around a layer -> what takes them off
_WRAPPERS = {
    "PruneLowMagnitude": ("pruning", "tfmot.sparsity.keras.strip_pruning(model)"),
    "ClusterWeights": ("clustering", "tfmot.clustering.keras.strip_clustering(model)"),
    "QuantizeAnnotate": ("annotation for quantization", "the float model, before quantize_annotate_layer"),
}
#: what a functional model may call as a bare TensorFlow function; a TFOpLambda layer names it, and could name others
_SAFE_FUNCTIONS = ("math.", "nn.", "image.", "linalg.", "__operators__.", "compat.v1.nn.", "compat.v1.image.")
_SAFE_BARE_FUNCTIONS = {
    "cast",
    "clip_by_value",
    "concat",
    "convert_to_tensor",
    "expand_dims",
    "gather",
    "identity",
    "pad",
    "reshape",
    "shape",
    "slice",
    "split",
    "squeeze",
    "stack",
    "strided_slice",
    "tile",
    "transpose",
    "unstack",
    "where",
    "zeros_like",
    "ones_like",
}


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in a model description, without recursion: the file decides the depth."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            yield current
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)


def class_names(config: Any) -> Iterator[str]:
    """Every class name in a model description, nested ones included."""
    for node in objects(config):
        if isinstance(node.get("class_name"), str):
            yield node["class_name"]


def layer_name(node: dict[str, Any]) -> str:
    """A layer's own name, or its class where it has none."""
    config = node.get("config")
    name = node.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return str(name or node.get("class_name"))


def layer_text(node: dict[str, Any]) -> str:
    """A layer as messages name it: `'gru_1' (GRU)`."""
    name, kind = layer_name(node), str(node.get("class_name"))
    return f"'{name}' ({kind})" if name != kind else f"'{kind}'"


def check_depth(config: Any, where: str) -> None:
    """Refuses a description that is nested deeper than models are: what reads it later goes down by recursion."""
    level = [config]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise UserInputError(f"its model description is nested more than {_MAX_DEPTH} levels deep", where=where)


def drop_training_settings(config: dict[str, Any]) -> None:
    """Takes out what the training was set up with, in place: losses and metrics are not needed, and may be code."""
    for node in objects(config):
        node.pop("compile_config", None)


def refuse_code(config: dict[str, Any], where: str) -> None:
    """Ends reading a model that carries code, names functions outside the mathematical ones, or is made of one's own classes.

    Args:
        config: a model description without its training settings.
        where: the file.

    Raises:
        UserInputError: naming the layer.
    """
    owner: dict[str, Any] = config
    for node in objects(config):
        name = node.get("class_name")
        if node is config or name is None:
            continue  # what the model itself is, is asked when its ends are looked for
        if not isinstance(name, str):
            raise UserInputError("its model description is not one of a Keras model", where=where)
        if isinstance(node.get("config"), dict) and "name" in node["config"] and not name.endswith("Policy"):
            owner = node  # what follows, an activation for instance, is part of a layer
        refusal = _refusal(name, node, owner)
        if refusal is not None:
            raise UserInputError(refusal[0], where=where, hint=refusal[1])


def _refusal(name: str, node: dict[str, Any], owner: dict[str, Any]) -> tuple[str, str] | None:
    """What is wrong with one object and what to do; None where it may pass."""
    layer = f"layer {layer_text(node)}"
    if name in _LAMBDAS:
        what = "is a Lambda" if name == "Lambda" else "calls a lambda"
        hint = "replace it by built-in layers (Rescaling, Reshape, Activation, ...) and save again"
        which = layer_name(node if name == "Lambda" else owner)
        return f"layer '{which}' {what}: it carries Python code, which is never run from a model file", hint
    if name in _TYPES:
        return (
            f"{layer} names a TensorFlow type, which is not accepted from a file",
            "use built-in layers and save again",
        )
    if name in _FOREIGN:
        return f"{layer} {_FOREIGN[name]}", "take it out of the model, or convert the model to .tflite and give that"
    if name in _WRAPPERS:
        kind, remedy = _WRAPPERS[name]
        inner = node["config"].get("layer") if isinstance(node.get("config"), dict) else None
        layer = f"layer {layer_text(inner)}" if isinstance(inner, dict) else layer
        return f"{layer} still stands in TFMOT's wrapper for {kind}", f"save {remedy} instead"
    if name in ("TFOpLambda", "SlicingOpLambda") and isinstance(node.get("config"), dict):
        function = str(node["config"].get("function", ""))
        if not function.startswith(_SAFE_FUNCTIONS) and function not in _SAFE_BARE_FUNCTIONS:
            return (
                f"the model calls the TensorFlow function '{function}', which is not one that is accepted from a file",
                "replace it by built-in layers and save again",
            )
    return _own_code(name, node, owner)


def _own_code(name: str, node: dict[str, Any], owner: dict[str, Any]) -> tuple[str, str] | None:
    """The refusal of a class or function that is not one of Keras: its code is not in the file."""
    hint = "replace it by built-in layers and save again, or convert the model to .tflite and give that"
    if name == "function":
        function = str(node.get("config"))
        if ">" not in function:
            return None
        return f"layer {layer_text(owner)} calls '{function}', which is code of your own and in no file", hint
    module = node.get("module", "keras")
    if ">" not in name and isinstance(module, str) and module.split(".")[0] in _PACKAGES:
        return None
    shown = node.get("registered_name") or name
    return f"layer '{layer_name(node)}' is of the class '{shown}', which is code of your own and in no file", hint
