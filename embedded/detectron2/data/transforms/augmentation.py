"""What an augmentation is: a policy that looks at its input and returns a transform."""

import inspect
import pprint
from collections.abc import Sequence
from typing import Any

import numpy as np
from fvcore.transforms.transform import Transform, TransformList

__all__ = [
    "AugInput",
    "Augmentation",
    "AugmentationList",
    "StandardAugInput",
    "TransformGen",
    "apply_augmentations",
    "apply_transform_gens",
]


def _check_image(image: Any) -> None:
    assert isinstance(image, np.ndarray), f"image must be a NumPy array, got {type(image)}"
    assert image.ndim in (2, 3), f"image must be (H, W) or (H, W, C), got {image.shape}"


def _inputs_of(augmentation: "Augmentation", aug_input: Any) -> list[Any]:
    """The attributes of the input that ``get_transform`` names as parameters."""
    if augmentation.input_args is None:
        augmentation.input_args = _parameter_names(augmentation)
    values = []
    for name in augmentation.input_args:
        try:
            values.append(getattr(aug_input, name))
        except AttributeError as error:
            raise AttributeError(
                f"{type(augmentation)}.get_transform needs input attribute '{name}', "
                f"but it is not an attribute of {type(aug_input)}!"
            ) from error
    return values


def _parameter_names(augmentation: "Augmentation") -> tuple[str, ...]:
    parameters = inspect.signature(augmentation.get_transform).parameters
    if len(parameters) == 1:
        return ("image",)  # whatever it is called
    for parameter in parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(
                f"{type(augmentation)}.get_transform may not take *args or **kwargs: its "
                "parameters name the attributes it reads from the input"
            )
    return tuple(parameters)


class Augmentation:
    """A random (or input-dependent) choice of a transform.

    Subclasses write ``get_transform``. Its parameters name what it needs of the input: ``image``
    (a single parameter always means the image), ``boxes``, ``sem_seg``, or an attribute of a
    user's own input class. Draw random numbers from ``np.random``.

    Attributes:
        input_args: names of the needed attributes; found out from ``get_transform`` when None.
    """

    input_args: tuple[str, ...] | None = None

    def _init(self, params: dict[str, Any] | None = None) -> None:
        """Store constructor arguments, given as ``locals()``, as attributes."""
        for name, value in (params or {}).items():
            if name != "self" and not name.startswith("_"):
                setattr(self, name, value)

    def get_transform(self, *args: Any) -> Transform:
        """Choose the transform for an input."""
        raise NotImplementedError

    def __call__(self, aug_input: Any) -> Transform:
        """Transform an input in place.

        Args:
            aug_input: has the attributes that ``get_transform`` needs, and ``transform(tfm)``.

        Returns:
            The transform that was applied, to be used on everything else.
        """
        transform = self.get_transform(*_inputs_of(self, aug_input))
        assert isinstance(transform, (Transform, TransformList)), (
            f"{type(self)}.get_transform must return a Transform, got {type(transform)}"
        )
        aug_input.transform(transform)
        return transform

    def _rand_range(
        self, low: float = 1.0, high: float | None = None, size: Any = None
    ) -> np.ndarray | float:
        """Uniform numbers in [low, high), or in [0, low) when ``high`` is None."""
        if high is None:
            low, high = 0, low
        return np.random.uniform(low, high, [] if size is None else size)

    def __repr__(self) -> str:
        """``Name(argument=value, ...)`` without the arguments at their defaults."""
        arguments = []
        for name, parameter in inspect.signature(self.__init__).parameters.items():
            is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            if is_variadic or not hasattr(self, name):
                return object.__repr__(self)
            value = getattr(self, name)
            if value is parameter.default:
                continue
            text = pprint.pformat(value)
            arguments.append(f"{name}={'...' if chr(10) in text else text}")
        return f"{type(self).__name__}({', '.join(arguments)})"

    __str__ = __repr__


class _Fixed(Augmentation):
    """A transform as an augmentation without a choice."""

    def __init__(self, tfm: Transform) -> None:
        self.tfm = tfm

    def get_transform(self, *args: Any) -> Transform:
        return self.tfm

    def __call__(self, aug_input: Any) -> Transform:
        aug_input.transform(self.tfm)
        return self.tfm

    def __repr__(self) -> str:
        return repr(self.tfm)

    __str__ = __repr__


def _as_augmentation(value: Any) -> Augmentation:
    """An augmentation from an augmentation or a transform."""
    if isinstance(value, Augmentation):
        return value
    if isinstance(value, Transform):
        return _Fixed(value)
    raise AssertionError(f"Expected an Augmentation or a Transform, got {type(value)}: {value!r}")


class AugmentationList(Augmentation):
    """Augmentations one after another; each sees the input as the one before left it."""

    def __init__(self, augs: Sequence[Augmentation | Transform]) -> None:
        """
        Args:
            augs: augmentations or transforms.
        """
        super().__init__()
        self.augs = [_as_augmentation(aug) for aug in augs]

    def __call__(self, aug_input: Any) -> TransformList:
        """Transform an input in place; returns all transforms."""
        return TransformList([aug(aug_input) for aug in self.augs])

    def __repr__(self) -> str:
        return f"AugmentationList[{', '.join(str(aug) for aug in self.augs)}]"

    __str__ = __repr__


class AugInput:
    """What augmentations look at and transform: an image, and boxes and a label map if any.

    Everything else (masks, depth, other frames) is transformed by hand with the transform that an
    augmentation returns. A subclass may hold more and override `transform`.

    Attributes:
        image: (H, W) or (H, W, C) array.
        boxes: (N, 4) float array, or None.
        sem_seg: (H, W) array, or None.
    """

    def __init__(
        self,
        image: np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        sem_seg: np.ndarray | None = None,
    ) -> None:
        """
        Args:
            image: uint8 in 0..255 or floating point (other types pass, but cannot be resized).
            boxes: XYXY in pixels; integers would be cut off when they are scaled.
            sem_seg: uint8 (other integers cannot be resized).
        """
        _check_image(image)
        self.image = image
        self.boxes = boxes
        self.sem_seg = sem_seg

    def transform(self, tfm: Transform) -> None:
        """Apply a transform to everything, in place."""
        self.image = tfm.apply_image(self.image)
        if self.boxes is not None:
            self.boxes = tfm.apply_box(self.boxes)
        if self.sem_seg is not None:
            self.sem_seg = tfm.apply_segmentation(self.sem_seg)

    def apply_augmentations(
        self, augmentations: Sequence[Augmentation | Transform]
    ) -> TransformList:
        """Apply augmentations one after another; returns their transforms."""
        return AugmentationList(augmentations)(self)


def apply_augmentations(
    augmentations: Sequence[Augmentation | Transform], inputs: Any
) -> tuple[Any, TransformList]:
    """Apply augmentations to an image or an input.

    Args:
        augmentations: augmentations or transforms.
        inputs: an image array, or an `AugInput`, which is changed.

    Returns:
        The new image or the same input; the transforms.
    """
    if isinstance(inputs, np.ndarray):
        aug_input = AugInput(inputs)
        transforms = aug_input.apply_augmentations(augmentations)
        return aug_input.image, transforms
    return inputs, inputs.apply_augmentations(augmentations)


# Names of earlier versions.
apply_transform_gens = apply_augmentations
TransformGen = Augmentation
StandardAugInput = AugInput
