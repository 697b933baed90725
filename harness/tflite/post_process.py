"""TFLite_Detection_PostProcess: the custom op that decodes a detector's boxes and suppresses those that overlap.

Every build of TensorFlow Lite and LiteRT that was looked at has it; it computes in float, on the CPU. Inputs: box encodings
[1, A, 4], class predictions [1, A, C], anchors [A, 4]; outputs: boxes [1, D, 4], classes [1, D], scores [1, D], count [1]. Its
options are a FlexBuffer map (tensorflow/lite/kernels/detection_postprocess.cc).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.errors import UserInputError
from harness.tflite.graph import Graph, Node

POST_PROCESS = "TFLite_Detection_PostProcess"


@dataclass(frozen=True, kw_only=True)
class PostProcess:
    """Its options, by the kernel's own names.

    Attributes:
        max_detections: boxes that are given, D.
        num_classes: without the background.
        nms_iou_threshold: of two boxes that overlap by more, the less sure one goes.
        nms_score_threshold: boxes that are less sure are none.
        scales: what the encodings are divided by: y, x, height, width.
        use_regular_nms: class by class; False: the best class of each box only (fast).
    """

    max_detections: int
    num_classes: int
    nms_iou_threshold: float
    nms_score_threshold: float
    scales: tuple[float, float, float, float]
    use_regular_nms: bool

    @property
    def words(self) -> str:
        """What it does, for a reader."""
        kind = "class by class" if self.use_regular_nms else "by each box's best class"
        return (
            f"at most {self.max_detections} boxes of {self.num_classes} classes, suppressed {kind} from an overlap of "
            f"{self.nms_iou_threshold:g} on, scores from {self.nms_score_threshold:g} on"
        )


def post_process_node(graph: Graph) -> Node | None:
    """The node, where a model has one."""
    return next((node for node in graph.nodes if node.custom_name == POST_PROCESS), None)


def ends_in_suppression(graph: Graph) -> bool:
    """Whether an output of the model is one of the op's."""
    node = post_process_node(graph)
    return node is not None and any(tensor in node.outputs for tensor in graph.outputs)


def read_post_process(node: Node) -> PostProcess:
    """The options of the op.

    Raises:
        UserInputError: they are no FlexBuffer map, or lack what the kernel needs.
    """
    where = f"node {node.index} {POST_PROCESS}"
    options = _map(node.custom_options, where)
    try:
        return PostProcess(
            max_detections=int(options["max_detections"]),
            num_classes=int(options["num_classes"]),
            nms_iou_threshold=float(options["nms_iou_threshold"]),
            nms_score_threshold=float(options["nms_score_threshold"]),
            scales=tuple(float(options[f"{name}_scale"]) for name in ("y", "x", "h", "w")),  # type: ignore[arg-type]
            use_regular_nms=bool(options.get("use_regular_nms", False)),
        )
    except KeyError as error:
        raise UserInputError(f"its options lack {error}, which every runtime asks for", where=where) from None
    except (TypeError, ValueError) as error:
        raise UserInputError(f"its options are not what the kernel takes ({error})", where=where) from None


def _map(data: bytes, where: str) -> Mapping[str, Any]:
    from flatbuffers import flexbuffers

    try:
        found = flexbuffers.Loads(data)
    # The library throws what it meets first in bytes that are no FlexBuffer: struct.error, IndexError, ValueError, ...
    except Exception as error:
        what = f"its options are no FlexBuffer ({type(error).__name__})"
        raise UserInputError(what, where=where, hint="export the model again") from error
    if not isinstance(found, dict):
        raise UserInputError("its options are no map", where=where, hint="export the model again")
    return found
