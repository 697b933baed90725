"""Conversions: from trained weights to a .tflite, exactly as a recipe's `Conversion` says. Runs in build workers only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from harness.core.errors import UnsupportedError
from harness.tflite.graph import read_graph
from harness.variants.convert.mixed import MixedModel, quantize_mixed
from harness.variants.mix import Mix
from harness.variants.qat.summary import layer_names
from harness.variants.recipe import Conversion
from harness.variants.refusals import converter_reason
from harness.workloads.input_names import argument_names, inputs_of
from harness.workloads.keras.env import has_keras2, import_this_keras
from harness.workloads.keras.precision import as_called, input_names, typed
from harness.workloads.rows import Arrays, InputRows


def convert(
    model: Any, conversion: Conversion, *, dynamic_batch: bool = False, representative: Arrays | None = None
) -> bytes:
    """Converts a Keras model.

    Args:
        model: a model, float or (tf_keras) quantization-aware, of the Keras that this process has.
        conversion: what to do.
        dynamic_batch: False converts a concrete function of batch 1; True the Keras model with its open batch, which
            adds SHAPE, STRIDED_SLICE and PACK where a reshape needs the batch size.
        representative: samples, for conversions that calibrate.

    Returns:
        The .tflite file.

    Raises:
        UnsupportedError: the converter refuses; the reason is the converter's own message, shortened.
    """
    _require_samples(conversion.representative, representative)
    if representative is not None:
        representative = typed(model, representative)
    if conversion.converter == "aeq":
        float_model = convert_float(model, dynamic_batch=dynamic_batch)
        return quantize_with_aeq(float_model, conversion, representative)
    if conversion.simulated is not None:
        from harness.variants.convert.simulate import simulate

        return simulate(convert_float(model, dynamic_batch=dynamic_batch), conversion.simulated, representative)
    converter = _converter(model, dynamic_batch)
    _configure(converter, conversion, None if representative is None else _feeds(model, representative, dynamic_batch))
    return _run(converter)


def convert_mixed(
    model: Any, mix: Mix, *, dynamic_batch: bool = False, representative: Arrays | None = None
) -> MixedModel:
    """Converts a float Keras model layer by layer; see `harness.variants.convert.mixed`.

    Args:
        representative: samples, as many as the mix asks for; None where it calibrates nothing.

    Raises:
        UnsupportedError: the converter or the quantizer refuses, or the mix names a layer that the model has not.
    """
    _require_samples(mix.is_calibrated, representative)
    samples = None if representative is None else typed(model, representative)
    float_model = convert_float(model, dynamic_batch=dynamic_batch)
    return quantize_mixed(float_model, mix, layer_names(model), samples)


def _require_samples(wanted: bool, representative: Arrays | None) -> None:
    if wanted and representative is None:
        raise UnsupportedError(
            "calibration needs representative samples, and the data has no training samples",
            hint="give x_train in the .npz",
        )


def convert_float(model: Any, *, dynamic_batch: bool = False) -> bytes:
    """The plain float32 .tflite of a model; see `convert`."""
    return _run(_converter(model, dynamic_batch))


def _converter(model: Any, dynamic_batch: bool) -> Any:
    """A TFLiteConverter for the model, with the batch fixed to 1 unless asked otherwise."""
    tf, _ = import_this_keras()
    if dynamic_batch and has_keras2():
        return tf.lite.TFLiteConverter.from_keras_model(model)
    for tensor in model.inputs:
        if any(size is None for size in tensor.shape[1:]):
            raise UnsupportedError(
                f"the input shape {list(tensor.shape)} is open beyond the batch",
                hint="save the model with a fixed input shape",
            )
    several = len(model.inputs) > 1
    function = tf.function(lambda *x: model(as_called(model, list(x)) if several else x[0], training=False))
    batch = None if dynamic_batch else 1
    specs = [
        tf.TensorSpec([batch, *tensor.shape[1:]], tensor.dtype, name=name)
        for tensor, name in zip(model.inputs, _arguments(model), strict=True)
    ]
    concrete = function.get_concrete_function(*specs)
    # The converter saves the object that owns the variables. A bare one instead of the Keras model, whose layers would all
    # be traced and saved for nothing, gives the same bytes in a quarter of the time.
    owner = tf.Module()
    if has_keras2():
        owner.variables_of_model = list(model.variables)
    else:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        # Keras 3 keeps its variables in objects of its own. One that the converter misses would become a read of a variable
        # that no runtime has ever set, and the model would answer NaN: the weights go in as constants.
        concrete = convert_variables_to_constants_v2(concrete)
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], owner)


def _arguments(model: Any) -> tuple[str, ...]:
    """What the arguments of the function are called that is converted: `x`, or as the inputs are where there are several."""
    names = input_names(model)
    return argument_names(names) if len(names) > 1 else ("x",)


def _feeds(model: Any, samples: Arrays, dynamic_batch: bool) -> Callable[[], Iterator[Any]]:
    """Samples as the converter calibrates with them: several inputs by name, because it orders them as it likes."""
    if not isinstance(samples, InputRows):
        return lambda: ([sample[None]] for sample in samples)
    names = input_names(model)
    calls = names if dynamic_batch and has_keras2() else _arguments(model)
    pairs = list(zip(calls, names, strict=True))
    return lambda: ({call: sample[name][None] for call, name in pairs} for sample in samples)


def _configure(converter: Any, conversion: Conversion, representative: Callable[[], Iterator[Any]] | None) -> None:
    """Sets the converter's options from the recipe table's fields."""
    tf, _ = import_this_keras()
    if conversion.optimize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if conversion.representative and representative is not None:
        converter.representative_dataset = representative
    if conversion.float16:
        converter.target_spec.supported_types = [tf.float16]
    if conversion.int16_activations:
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
    elif conversion.integer_only:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if conversion.io_type != "float32":
        io_type = {"int8": tf.int8, "uint8": tf.uint8, "int16": tf.int16}[conversion.io_type]
        converter.inference_input_type = io_type
        converter.inference_output_type = io_type
    if not conversion.per_channel:
        converter._experimental_disable_per_channel = True
    if not conversion.per_channel_dense:
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def _run(converter: Any) -> bytes:
    """Runs a converter; what it throws is its refusal."""
    try:
        return bytes(converter.convert())
    # The converter throws whatever its layers throw (RuntimeError, ValueError, ConverterError, pybind types).
    except Exception as error:
        raise UnsupportedError(converter_reason(error)) from error


def quantize_with_aeq(float_model: bytes, conversion: Conversion, representative: Arrays | None) -> bytes:
    """Quantizes a float .tflite with AI Edge Quantizer's recipe of that name.

    Raises:
        UnsupportedError: AI Edge Quantizer refuses; the reason is its own message, shortened.
    """
    from ai_edge_quantizer import quantizer as aeq
    from ai_edge_quantizer import recipe as recipes

    if conversion.aeq_recipe is None:
        raise ValueError(f"the conversion {conversion.name} names no recipe of AI Edge Quantizer")
    samples = representative if conversion.representative else None
    try:
        quantizer = aeq.Quantizer(float_model=float_model)
        quantizer.load_quantization_recipe(getattr(recipes, conversion.aeq_recipe)())
        calibration = None if samples is None else _aeq_calibration(quantizer, float_model, samples)
        return bytes(quantizer.quantize(calibration).quantized_model)
    # Its layers throw ValueError, RuntimeError, KeyError, NotImplementedError for what they do not take.
    except Exception as error:
        raise UnsupportedError(f"AI Edge Quantizer: {converter_reason(error)}") from error


def _aeq_calibration(quantizer: Any, float_model: bytes, representative: Arrays) -> Any:
    graph = read_graph(float_model)
    key = next(iter(graph.signatures))
    calls = [graph.input_names[index] for index in graph.inputs]
    samples = (sample if isinstance(sample, dict) else {"": sample} for sample in representative)
    pairs = list(zip(calls, inputs_of(graph, representative), strict=True))
    return quantizer.calibrate({key: [{call: sample[name][None] for call, name in pairs} for sample in samples]})
