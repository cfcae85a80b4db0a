"""The edge of the subset: what is left out, and how it says so."""

import importlib.abc
import sys
from typing import Any, NoReturn


def outside_subset(name: str) -> NoReturn:
    """Refuse a part of the Detectron2 API that the embedded package does not have.

    Args:
        name: what was asked for, as a user would write it, e.g. ``detectron2.config.LazyConfig``.

    Raises:
        NotImplementedError: always; the message names the official install.
    """
    raise NotImplementedError(
        f"{name} is not part of the embedded Detectron2 0.6 subset. "
        "Install the official one: make setup DETECTRON2=official"
    )


class _Absent(type):
    """Metaclass of placeholders: they can be imported and named, everything else refuses."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        outside_subset(f"{cls.__module__}.{cls.__qualname__}")

    def __getattr__(cls, attribute: str) -> NoReturn:
        if attribute.startswith("__"):  # introspection by pickle, inspect, typing, ...
            raise AttributeError(attribute)
        outside_subset(f"{cls.__module__}.{cls.__qualname__}.{attribute}")


def absent(name: str) -> type:
    """Make a placeholder for a class or function outside the subset.

    A script may import it (and test ``isinstance`` against it); calling it, or reading one of its
    attributes, raises the error of `outside_subset`.

    Args:
        name: full dotted name, e.g. ``detectron2.structures.Keypoints``.

    Returns:
        A class of that name and module.
    """
    module, _, short = name.rpartition(".")
    return _Absent(short, (), {"__module__": module, "__doc__": f"{name}: outside the subset."})


# Modules of the official package that are left out, with everything below them.
OUTSIDE_MODULES = (
    "detectron2.checkpoint.catalog",
    "detectron2.config.compat",
    "detectron2.config.instantiate",
    "detectron2.config.lazy",
    "detectron2.data.benchmark",
    "detectron2.data.datasets.builtin",
    "detectron2.data.datasets.builtin_meta",
    "detectron2.data.datasets.cityscapes",
    "detectron2.data.datasets.cityscapes_panoptic",
    "detectron2.data.datasets.lvis",
    "detectron2.data.datasets.lvis_v0_5_categories",
    "detectron2.data.datasets.lvis_v1_categories",
    "detectron2.data.datasets.lvis_v1_category_image_count",
    "detectron2.data.datasets.pascal_voc",
    "detectron2.evaluation.cityscapes_evaluation",
    "detectron2.evaluation.coco_evaluation",
    "detectron2.evaluation.fast_eval_api",
    "detectron2.evaluation.lvis_evaluation",
    "detectron2.evaluation.panoptic_evaluation",
    "detectron2.evaluation.pascal_voc_evaluation",
    "detectron2.evaluation.rotated_coco_evaluation",
    "detectron2.export",
    "detectron2.layers.aspp",
    "detectron2.layers.roi_align_rotated",
    "detectron2.layers.rotated_boxes",
    "detectron2.model_zoo",
    "detectron2.modeling.backbone.mvit",
    "detectron2.modeling.backbone.regnet",
    "detectron2.modeling.backbone.swin",
    "detectron2.modeling.backbone.utils",
    "detectron2.modeling.backbone.vit",
    "detectron2.modeling.meta_arch.dense_detector",
    "detectron2.modeling.meta_arch.fcos",
    "detectron2.modeling.meta_arch.retinanet",
    "detectron2.modeling.mmdet_wrapper",
    "detectron2.modeling.proposal_generator.rrpn",
    "detectron2.modeling.roi_heads.cascade_rcnn",
    "detectron2.modeling.roi_heads.keypoint_head",
    "detectron2.modeling.roi_heads.rotated_fast_rcnn",
    "detectron2.modeling.test_time_augmentation",
    "detectron2.projects.deeplab.semantic_seg",
    "detectron2.projects.panoptic_deeplab",
    "detectron2.projects.point_rend.mask_head",
    "detectron2.projects.point_rend.point_head",
    "detectron2.projects.point_rend.roi_heads",
    "detectron2.projects.point_rend.semantic_seg",
    "detectron2.structures.keypoints",
    "detectron2.structures.rotated_boxes",
    "detectron2.tracking",
    "detectron2.utils.analysis",
    "detectron2.utils.develop",
    "detectron2.utils.testing",
    "detectron2.utils.torch_version_utils",
    "detectron2.utils.tracing",
)


class _RefusingFinder(importlib.abc.MetaPathFinder):
    """Last in line when a module is imported: refuses those that are left out by name.

    Without it, importing them would say only that there is no such module. Names that the official
    package does not have either are left to Python's own error.
    """

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Called by Python when no other finder knows ``fullname``."""
        if fullname in OUTSIDE_MODULES:
            outside_subset(fullname)


def refuse_modules_outside_the_subset() -> None:
    """Make imports of left-out modules raise the error of `outside_subset`."""
    if not any(isinstance(finder, _RefusingFinder) for finder in sys.meta_path):
        sys.meta_path.append(_RefusingFinder())
