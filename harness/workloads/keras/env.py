"""The one place where TensorFlow is imported, with Keras 2 or Keras 3, and without its log noise.

TensorFlow brings Keras 3; TFMOT needs Keras 2 (tf_keras). Which of them TensorFlow itself uses is settled when it is
imported, by `TF_USE_LEGACY_KERAS`: one process has one Keras.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any, NamedTuple

from harness.core.errors import HarnessError, MissingPartError

_SETTING = "TF_USE_LEGACY_KERAS"
_ON = ("1", "true", "True")
#: says that a process was started for Keras 3; TensorFlow reads it as "not Keras 2"
_OFF = "0"


class KerasEnv(NamedTuple):
    """The two modules that everything about models is built from."""

    tf: Any
    keras: Any


def import_tf() -> KerasEnv:
    """Imports TensorFlow and tf_keras (about 3 s the first time). Only build workers may call it.

    Threads and determinism are the caller's to set.

    Raises:
        MissingPartError: the `build` extra is not installed.
        HarnessError: TensorFlow was imported before, without the setting that makes it use Keras 2.
    """
    if "tensorflow" in sys.modules and os.environ.get(_SETTING) not in _ON:
        raise HarnessError(
            f"TensorFlow was imported without {_SETTING}=1",
            hint="set it before TensorFlow is imported in this process",
        )
    os.environ[_SETTING] = "1"
    tf = _import_quietly("tensorflow", "tf-keras")
    return KerasEnv(tf, _import_quietly("tf_keras", "tf-keras"))


def import_keras3() -> KerasEnv:
    """Imports TensorFlow and the Keras 3 that it brings. Only build workers that were started for Keras 3 may call it.

    Raises:
        MissingPartError: the `build` extra is not installed.
        HarnessError: this process was not started for Keras 3.
    """
    if has_keras2():
        raise HarnessError(
            "this process has Keras 2, and the model was written by Keras 3",
            hint=f"start a process with {_SETTING}={_OFF} for it",
        )
    # Another backend in the user's settings would load the model into something that cannot be converted.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    tf = _import_quietly("tensorflow", "Keras 3")
    return KerasEnv(tf, _import_quietly("keras", "Keras 3"))


def has_keras2() -> bool:
    """Whether this process has Keras 2; it has, unless it was started for Keras 3."""
    return os.environ.get(_SETTING) != _OFF


def import_this_keras() -> KerasEnv:
    """TensorFlow with the Keras that this process was started for."""
    return import_tf() if has_keras2() else import_keras3()


def worker_environment(keras_major: int) -> dict[str, str]:
    """The environment of a worker process with Keras 2 or 3, made from this process' own."""
    return {**os.environ, _SETTING: _OFF if keras_major == 3 else _ON[0]}


def _import_quietly(module: str, part: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        raise MissingPartError(
            f"building models needs TensorFlow and {part}, which cannot be imported ({error})",
            hint="pip install 'tflite-hil-harness[build]'",
        ) from error
    if module == "tensorflow":
        imported.get_logger().setLevel(logging.ERROR)
    return imported
