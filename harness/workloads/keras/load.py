"""Loads a saved Keras model for training further: rebuilt from its description as Keras 2, then filled with its weights.

Nothing from the file is run: only built-in layers are looked up, by class name. TensorFlow Model Optimization needs Keras
2, while today's TensorFlow writes Keras 3 files; their descriptions are rewritten, their weight files have the same layout.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from harness.core.errors import UserInputError
from harness.workloads.keras.env import import_tf
from harness.workloads.keras.file import KerasFile, is_qat, read_keras_file

#: keys that Keras 3 writes and Keras 2 does not know -> the values that mean nothing
_KERAS3_ONLY: dict[str, tuple[Any, ...]] = {
    "quantization_config": (None,),
    "renorm": (False,),
    "renorm_clipping": (None,),
    "renorm_momentum": (0.99, None),
    "input_axes": (None,),
    "output_axes": (None,),
    "lora_rank": (None,),
    "lora_alpha": (None,),
}
_BOOKKEEPING = ("module", "registered_name", "build_config", "compile_config", "shared_object_id")


def load_keras_model(path: Path) -> Any:
    """The model of a .keras or .h5 file or a SavedModel folder, written by Keras 2 or 3, as an uncompiled tf_keras model.

    Imports TensorFlow: only build workers call it. Models that TFMOT has wrapped for QAT load as such.

    Raises:
        UserInputError: the file is missing or damaged, carries code, or uses layers that cannot be rebuilt.
    """
    file = read_keras_file(path)
    if is_qat(file) and file.kind == "keras":
        raise UserInputError(
            "is a quantization-aware model in the .keras format, whose wrapped weights Keras cannot read back",
            where=str(path),
            hint="save the quantization-aware model as .h5",
        )
    keras = import_tf().keras
    config = to_keras2(file.config, where=str(path))
    with contextlib.ExitStack() as stack:
        if is_qat(file):
            import tensorflow_model_optimization as tfmot

            stack.enter_context(tfmot.quantization.keras.quantize_scope())
        try:
            model = keras.models.model_from_json(json.dumps(config))
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise UserInputError(
                f"the model cannot be rebuilt from its description ({_first_line(error)})",
                where=str(path),
                hint="layers of one's own cannot be read from a file: use built-in layers, or give a .tflite",
            ) from error
        try:
            _load_weights(model, file)
        except (ValueError, KeyError, OSError, RuntimeError, AssertionError, zipfile.BadZipFile, zlib.error) as error:
            hint = "the file is truncated or damaged, or was written by another Keras; save the model again"
            raise UserInputError(
                f"its weights cannot be read ({_first_line(error)})", where=str(path), hint=hint
            ) from error
    return model


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


def _load_weights(model: Any, file: KerasFile) -> None:
    if file.kind == "saved_model":
        # A SavedModel's variables are a checkpoint of the object graph that the model has again.
        status = model.load_weights(str(file.path / "variables" / "variables"))
        status.assert_existing_objects_matched().expect_partial()
    elif file.kind == "h5" and file.path.suffix.lower() in (".h5", ".hdf5"):
        model.load_weights(str(file.path))
    else:
        # Keras chooses the format by the file's ending, and wants a file of its own.
        with tempfile.TemporaryDirectory(prefix="harness-weights-") as folder:
            copy = Path(folder) / ("model.h5" if file.kind == "h5" else "model.weights.h5")
            if file.kind == "h5":
                shutil.copyfile(file.path, copy)
            else:
                with (
                    zipfile.ZipFile(file.path) as archive,
                    archive.open("model.weights.h5") as source,
                    open(copy, "wb") as out,
                ):
                    shutil.copyfileobj(source, out, 1 << 20)
            model.load_weights(str(copy))


def to_keras2(config: dict[str, Any], *, where: str) -> dict[str, Any]:
    """A model description of Keras 2 or 3 in the plain form that Keras 2 reads (class names only, no modules).

    Raises:
        UserInputError: it uses something that Keras 2 has no counterpart for.
    """
    try:
        return _object(config, where)
    except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        what = f"its model description is damaged ({type(error).__name__}: {error})"
        raise UserInputError(what, where=where, hint="save the model again") from error


def _value(node: Any, where: str) -> Any:
    if isinstance(node, list):
        return [_value(item, where) for item in node]
    if not isinstance(node, dict):
        return node
    if "class_name" in node and "config" in node:
        return _object(node, where)
    return {key: _value(value, where) for key, value in node.items()}


def _object(node: dict[str, Any], where: str) -> Any:
    """One serialized object: a layer, a nested model, an initializer, a dtype policy, a function."""
    name, config = node["class_name"], node["config"]
    if name in ("DTypePolicy", "Policy"):
        return config["name"]
    if name == "function":
        return config
    module = node.get("module") or ""
    if ".ops." in module:
        raise UserInputError(
            f"the model calls keras.ops '{name}', which Keras 2, and so quantization-aware training, does not know",
            where=where,
            hint="use the layer that does the same (Add, Multiply, Reshape, ...), or give a .tflite",
        )
    if not isinstance(config, dict):
        return {"class_name": name, "config": _value(config, where)}
    plain = {key: _value(value, where) for key, value in config.items() if key not in _BOOKKEEPING}
    for key, neutral in _KERAS3_ONLY.items():
        if key in plain and plain[key] in neutral:
            del plain[key]
    if name == "InputLayer" and "batch_shape" in plain:
        plain["batch_input_shape"] = plain.pop("batch_shape")
    for key in ("input_layers", "output_layers"):
        if isinstance(plain.get(key), list) and plain[key] and isinstance(plain[key][0], str):
            plain[key] = [plain[key]]
    result = {"class_name": name, "config": plain}
    if "name" in node:
        result["name"] = node["name"]
    if "inbound_nodes" in node:
        result["inbound_nodes"] = [_inbound_node(call, where) for call in node["inbound_nodes"]]
    return result


def _inbound_node(call: Any, where: str) -> Any:
    """One call of a layer: Keras 3's {args, kwargs} as Keras 2's [[layer, node, tensor, kwargs], ...]."""
    if not isinstance(call, dict):
        return call
    arguments = call["args"]
    tensors = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments[:1]
    constants = {key: value for key, value in call.get("kwargs", {}).items() if value is not None}
    plain = all(isinstance(t, dict) and t.get("class_name") == "__keras_tensor__" for t in tensors)
    if len(arguments) != 1 or not plain or any(isinstance(v, (dict, list)) for v in constants.values()):
        raise UserInputError(
            "a layer is called with several arguments, which cannot be carried over from Keras 3",
            where=where,
            hint="use layers that take one tensor or one list of tensors, or give a .tflite",
        )
    return [[*tensor["config"]["keras_history"], constants] for tensor in tensors]
