"""Transforms and augmentations against recorded results."""

import random

import numpy as np
import pytest
from fvcore.transforms.transform import HFlipTransform, NoOpTransform, TransformList
from PIL import Image

from detectron2.data import transforms as T

BOXES = [[3, 4, 20, 30], [10, 2, 52, 36]]

# Name in the records -> augmentation.
AUGMENTATIONS = {
    'ResizeShortestEdge((20,30),40,"range")': lambda: T.ResizeShortestEdge((20, 30), 40, "range"),
    'ResizeShortestEdge((20,24,31),60,"choice")': lambda: T.ResizeShortestEdge(
        (20, 24, 31), 60, "choice"
    ),
    "ResizeShortestEdge(74) (upscale x2)": lambda: T.ResizeShortestEdge(74),
    "Resize((25,61))": lambda: T.Resize((25, 61)),
    "RandomFlip(prob=1, horizontal=False, vertical=True)": lambda: T.RandomFlip(
        prob=1, horizontal=False, vertical=True
    ),
    "RandomCrop(relative,(0.5, 0.75))": lambda: T.RandomCrop("relative", (0.5, 0.75)),
    "RandomCrop(relative_range,(0.5, 0.6))": lambda: T.RandomCrop("relative_range", (0.5, 0.6)),
    "RandomCrop(absolute,(20, 64))": lambda: T.RandomCrop("absolute", (20, 64)),
    "RandomCrop(absolute_range,(16, 30))": lambda: T.RandomCrop("absolute_range", (16, 30)),
    "RandomCrop_CategoryAreaConstraint(absolute,(16,24),0.3,ignored 0)": lambda: (
        T.RandomCrop_CategoryAreaConstraint("absolute", (16, 24), 0.3, 0)
    ),
    "RandomCrop_CategoryAreaConstraint(absolute,(16,24),1.0)": lambda: (
        T.RandomCrop_CategoryAreaConstraint("absolute", (16, 24), 1.0)
    ),
    "FixedSizeCrop((30,64))": lambda: T.FixedSizeCrop((30, 64)),
    "FixedSizeCrop((30,64),pad=False)": lambda: T.FixedSizeCrop((30, 64), pad=False),
    "ResizeScale(0.5,2.0,48,48)": lambda: T.ResizeScale(0.5, 2.0, 48, 48),
    "RandomContrast(0.5,1.5)": lambda: T.RandomContrast(0.5, 1.5),
    "RandomBrightness(0.5,1.5)": lambda: T.RandomBrightness(0.5, 1.5),
    "RandomSaturation(0.5,1.5)": lambda: T.RandomSaturation(0.5, 1.5),
    "RandomLighting(25)": lambda: T.RandomLighting(25),
    "RandomExtent((0.6,1.4),(0.2,0.2))": lambda: T.RandomExtent((0.6, 1.4), (0.2, 0.2)),
    "RandomRotation([-15,15])": lambda: T.RandomRotation([-15, 15]),
    "RandomRotation([-15,15],expand=False)": lambda: T.RandomRotation([-15, 15], expand=False),
    "MinIoURandomCrop()": lambda: T.MinIoURandomCrop(),
    "AugmentationList([ResizeShortestEdge((20,30),60,range), "
    "RandomCrop(relative_range,(0.6,0.6)), RandomFlip()])": lambda: T.AugmentationList(
        [
            T.ResizeShortestEdge((20, 30), 60, "range"),
            T.RandomCrop("relative_range", (0.6, 0.6)),
            T.RandomFlip(),
        ]
    ),
}


@pytest.fixture
def image():
    """(37, 53, 3) uint8."""
    y, x, k = np.ogrid[:37, :53, :3]
    return ((7 * y + 13 * x + 29 * k + 5 * ((x * y) % 17)) % 256).astype(np.uint8)


@pytest.fixture
def label():
    """(37, 53) uint8."""
    y, x = np.ogrid[:37, :53]
    return ((y // 5 + 3 * (x // 7)) % 11).astype(np.uint8)


def seed_all(seed: int) -> None:
    np.random.seed(seed)
    random.seed(seed)


def test_the_test_image(read_records, image, label, assert_matches_record):
    record = read_records("a_transforms")["test_image"]
    assert_matches_record(image, record["image"])
    assert_matches_record(label, record["label"])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_equal_the_recorded_ones(
    name, read_records, image, label, assert_matches_record
):
    cases = read_records("a_transforms")["augmentations"]["cases"][name]
    augmentation = AUGMENTATIONS[name]()
    for seed, record in cases.items():
        seed_all(int(seed.removeprefix("numpy_seed_")))
        boxes = np.array(BOXES, dtype=np.float64)
        aug_input = T.AugInput(image, sem_seg=label, boxes=boxes)
        augmentation(aug_input)
        # Bilinear uint8 results depend on the version of Pillow or OpenCV by one level.
        assert_matches_record(aug_input.image, record["image"], tolerance=1)
        if "sem_seg" in record:
            assert_matches_record(aug_input.sem_seg, record["sem_seg"])
            np.testing.assert_allclose(aug_input.boxes, record["boxes"], rtol=1e-5, atol=1e-5)


def test_choices_equal_the_recorded_ones(read_records, image):
    cases = read_records("a_transforms")["augmentations"]["cases"]
    for seed, name in cases["RandomFlip()"].items():
        seed_all(int(seed))
        assert type(T.RandomFlip().get_transform(image)).__name__ == name.split("(")[0]
    for seed, result in cases["RandomApply(RandomBrightness(0.5,1.5),0.3)"].items():
        seed_all(int(seed))
        tfm = T.RandomApply(T.RandomBrightness(0.5, 1.5), 0.3)(T.AugInput(image))
        assert isinstance(tfm, NoOpTransform) == (result == "NoOp")
    for seed, size in {"0": (20, 30), "1": (40, 44)}.items():
        seed_all(int(seed))
        tfm = T.RandomResize([(20, 30), (40, 44)]).get_transform(image)
        assert (tfm.new_h, tfm.new_w) == size


def test_output_shapes_equal_the_recorded_ones(read_records):
    for case in read_records("a_transforms")["resize_shortest_edge_shapes"]["cases"]:
        (height, width), short, longest, expected = case
        shape = T.ResizeShortestEdge.get_output_shape(height, width, short, longest)
        assert list(shape) == expected


def test_resizing_equals_the_recorded_one(read_records, image, label, assert_matches_record):
    record = read_records("a_transforms")["resize_transform"]
    tfm = T.ResizeTransform(37, 53, 20, 80)
    assert_matches_record(tfm.apply_image(image), record["uint8_bilinear"], tolerance=1)
    single = tfm.apply_image(image[:, :, :1])
    assert_matches_record(single, record["uint8_single_channel_hw1"], tolerance=1)
    assert_matches_record(tfm.apply_segmentation(label), record["uint8_nearest_label"])
    floats = (image / 255).astype(np.float32)
    name = "float32_bilinear (image/255, torch path: no antialias)"
    assert_matches_record(tfm.apply_image(floats), record[name])
    float_label = label.astype(np.float32)
    assert_matches_record(tfm.apply_segmentation(float_label), record["float32_label_nearest"])
    with pytest.raises(NotImplementedError):
        tfm.apply_segmentation(label.astype(np.int64))
    coords = np.array([[10.0, 20.0], [53.0, 37.0]])
    np.testing.assert_allclose(tfm.apply_coords(coords), record["coords"], rtol=1e-6)
    box = tfm.apply_box(np.array([[3.0, 4.0, 20.0, 30.0]]))
    np.testing.assert_allclose(box, record["box"], rtol=1e-6)


def test_resizing_back(image):
    back = T.ResizeTransform(37, 53, 20, 80).inverse()
    assert (back.h, back.w, back.new_h, back.new_w) == (20, 80, 37, 53)


def test_resizing_a_flipped_view_and_four_dimensions(image):
    tfm = T.ResizeTransform(37, 53, 20, 80)
    assert tfm.apply_image((image / 255)[:, ::-1]).shape == (20, 80, 3)
    assert tfm.apply_image(image[:, :, None].astype(np.float32)).shape == (20, 80, 1, 3)


def test_resizing_refuses_another_size(image):
    with pytest.raises(AssertionError):
        T.ResizeTransform(30, 53, 20, 80).apply_image(image)


def test_a_short_edge_of_zero_means_no_resizing(image):
    assert isinstance(T.ResizeShortestEdge(0).get_transform(image), NoOpTransform)


def test_flips_have_one_direction():
    for directions in ({"vertical": True}, {"horizontal": False}):
        with pytest.raises(ValueError, match="horiz"):
            T.RandomFlip(**directions)


def test_rotation_by_a_quarter():
    image = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    tfm = T.RotationTransform(2, 2, 90)
    assert tfm.apply_segmentation(image).tolist() == [[2, 4], [1, 3]]  # counter-clockwise
    np.testing.assert_allclose(tfm.apply_coords([[2, 0]]), [[0, 0]], atol=1e-9)


def test_rotation_has_an_inverse():
    tfm = T.RotationTransform(10, 20, 30)
    points = np.array([[3.0, 4.0], [20.0, 0.0]])
    moved = tfm.inverse().apply_coords(tfm.apply_coords(points.copy()))
    np.testing.assert_allclose(moved, points, atol=1.0)  # bounds are whole pixels
    with pytest.raises(NotImplementedError):
        T.RotationTransform(10, 20, 30, expand=False).inverse()


def test_extent_outside_the_image_is_black():
    image = np.full((4, 4), 9, dtype=np.uint8)
    tfm = T.ExtentTransform((-4, 0, 4, 4), (4, 8), interp=Image.NEAREST)
    assert tfm.apply_image(image).tolist() == [[0] * 4 + [9] * 4] * 4
    assert tfm.apply_coords(np.array([[0.0, 0.0]])).tolist() == [[4, 0]]


def test_color_transforms_leave_geometry(image):
    tfm = T.ColorTransform(lambda pixels: 255 - pixels)
    assert (tfm.apply_image(image) == 255 - image).all()
    assert tfm.apply_segmentation(image) is image
    inverted = T.PILColorTransform(lambda pil: pil.point(lambda value: 255 - value))
    assert (inverted.apply_image(image) == 255 - image).all()
    with pytest.raises(ValueError, match="callable"):
        T.ColorTransform(3)


class WantsDepth(T.Augmentation):
    def get_transform(self, image, depth):
        return HFlipTransform(depth)


class TakesAnything(T.Augmentation):
    def get_transform(self, image, *args):
        return NoOpTransform()


class ReturnsNothing(T.Augmentation):
    def get_transform(self, whatever):
        assert isinstance(whatever, np.ndarray)  # a single parameter is the image


def test_inputs_are_found_by_parameter_names(image):
    aug_input = T.AugInput(image)
    with pytest.raises(
        AttributeError, match="get_transform needs input attribute 'depth', but it is not an"
    ):
        WantsDepth()(aug_input)
    aug_input.depth = 53
    assert WantsDepth()(aug_input).width == 53
    assert (aug_input.image == image[:, ::-1]).all()
    with pytest.raises(TypeError):
        TakesAnything()(aug_input)
    with pytest.raises(AssertionError):
        ReturnsNothing()(aug_input)


def test_an_input_checks_its_image():
    for bad in ([[1]], np.zeros(3, dtype=np.uint8), np.zeros((1, 2, 2, 3), dtype=np.uint8)):
        with pytest.raises(AssertionError):
            T.AugInput(bad)


def test_applying_a_list(image):
    new_image, transforms = T.apply_augmentations([HFlipTransform(53), T.Resize((20, 30))], image)
    assert new_image.shape == (20, 30, 3)
    assert isinstance(transforms, TransformList)
    assert len(transforms) == 2
    aug_input = T.AugInput(image)
    same, _ = T.apply_augmentations([T.Resize((20, 30))], aug_input)
    assert same is aug_input


def test_repr_hides_defaults():
    assert repr(T.RandomFlip(prob=0.25)) == "RandomFlip(prob=0.25)"
    assert repr(T.ResizeShortestEdge((1, 2), 3)) == (
        "ResizeShortestEdge(short_edge_length=(1, 2), max_size=3)"
    )


def test_fixed_size_crop_of_a_larger_image(image):
    out, _ = T.apply_augmentations([T.FixedSizeCrop((20, 70))], image)
    assert out.shape == (20, 70, 3)
    assert (out[:, 53:] == 128).all()


def test_earlier_names():
    assert T.TransformGen is T.Augmentation
    assert T.apply_transform_gens is T.apply_augmentations
    assert T.StandardAugInput is T.AugInput
