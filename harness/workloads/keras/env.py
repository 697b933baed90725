"""The one place where TensorFlow is imported: with Keras 2 (tf_keras), which TFMOT needs, and without its log noise."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, NamedTuple

from harness.core.errors import HarnessError, MissingPartError


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
    if "tensorflow" in sys.modules and os.environ.get("TF_USE_LEGACY_KERAS") not in ("1", "true", "True"):
        raise HarnessError(
            "TensorFlow was imported without TF_USE_LEGACY_KERAS=1",
            hint="set it before TensorFlow is imported in this process",
        )
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        import tensorflow as tf
        import tf_keras
    except ImportError as error:
        raise MissingPartError(
            f"building models needs TensorFlow and tf-keras, which cannot be imported ({error})",
            hint="pip install 'tflite-hil-harness[build]'",
        ) from error
    tf.get_logger().setLevel(logging.ERROR)
    return KerasEnv(tf, tf_keras)
