"""Reading images, transforming annotations, DatasetMapper."""

import copy
import json

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from PIL import Image

from detectron2.config import get_cfg
from detectron2.data import DatasetMapper
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances, PolygonMasks

ANNOTATIONS = [
    {
        "bbox": [8, 5, 22, 15],
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": 2,
        "segmentation": [[8.0, 5.0, 30.0, 5.0, 30.0, 20.0, 8.0, 20.0]],
    },
    {
        "bbox": [40, 30, 52, 36],
        "bbox_mode": BoxMode.XYXY_ABS,
        "category_id": 0,
        "segmentation": [[40.0, 30.0, 52.0, 30.0, 52.0, 36.0]],
    },
]


@pytest.fixture
def image():
    """(37, 53, 3) uint8."""
    y, x, k = np.ogrid[:37, :53, :3]
    return ((7 * y + 13 * x + 29 * k + 5 * ((x * y) % 17)) % 256).astype(np.uint8)


@pytest.fixture
def image_file(image, tmp_path):
    Image.fromarray(image).save(tmp_path / "x.png")
    return str(tmp_path / "x.png")


def test_reading_equals_the_recorded_values(read_records, image_file, assert_matches_record):
    record = read_records("a_data")["read_image"]
    for name, expected in record["png of the test image"].items():
        pixels = utils.read_image(image_file, None if name == "None" else name)
        assert_matches_record(pixels, expected, tolerance=1e-7)
    bgr = utils.read_image(image_file, "BGR")
    converted = utils.convert_image_to_rgb(bgr.copy(), "RGB")
    assert_matches_record(converted, record["convert_image_to_rgb_from_BGR"])


def test_conversion_to_rgb(image):
    assert (utils.convert_image_to_rgb(image[:, :, ::-1].copy(), "BGR") == image).all()
    assert (utils.convert_image_to_rgb(image[:, :, :1], "L") == image[:, :, :1]).all()
    assert (utils.convert_image_to_rgb(torch.from_numpy(image), "RGB") == image).all()


def test_sixteen_bits_are_kept_without_a_format(tmp_path):
    depth = np.array([[0, 300], [65535, 7]], dtype=np.uint16)
    Image.fromarray(depth).save(tmp_path / "depth.png")
    assert (utils.read_image(str(tmp_path / "depth.png")) == depth).all()


def test_images_are_turned_upright(image, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(image).save(tmp_path / "x.jpg", exif=exif)
    assert utils.read_image(str(tmp_path / "x.jpg"), "RGB").shape == (53, 37, 3)


def test_image_sizes_are_compared_or_filled_in():
    record = {}
    utils.check_image_size(record, np.zeros((5, 6, 3)))
    assert record == {"width": 6, "height": 5}
    with pytest.raises(
        utils.SizeMismatchError,
        match=r"Mismatched image shape for image f.png, got \(6, 5\), expect \(4, 3\).",
    ):
        record = {"file_name": "f.png", "width": 4, "height": 3}
        utils.check_image_size(record, np.zeros((5, 6, 3)))
    assert issubclass(utils.SizeMismatchError, ValueError)


def test_annotations_equal_the_recorded_ones(read_records, assert_matches_record):
    record = read_records("a_data")["transform_instance_annotations"]
    transforms = T.TransformList([T.ResizeTransform(37, 53, 60, 80), T.HFlipTransform(80)])
    transformed = [
        utils.transform_instance_annotations(annotation, transforms, (60, 80))
        for annotation in copy.deepcopy(ANNOTATIONS)
    ]
    assert [annotation["bbox"].tolist() for annotation in transformed] == record["boxes"]
    for annotation, polygons in zip(transformed, record["polygons"], strict=True):
        assert annotation["bbox_mode"] == BoxMode.XYXY_ABS
        np.testing.assert_allclose(annotation["segmentation"], polygons, rtol=1e-6)

    instances = utils.annotations_to_instances(transformed, (60, 80))
    assert isinstance(instances.gt_masks, PolygonMasks)
    assert instances.gt_boxes.tensor.tolist() == record["gt_boxes"]
    assert instances.gt_classes.tolist() == record["gt_classes"]
    assert instances.gt_classes.dtype == torch.int64
    bits = utils.annotations_to_instances(transformed, (60, 80), "bitmask").gt_masks
    assert bits.tensor.sum((1, 2)).tolist() == record["bitmask_areas"]
    assert len(utils.filter_empty_instances(instances)) == record["kept_after_filter_empty"]

    code = mask_util.merge(mask_util.frPyObjects(ANNOTATIONS[0]["segmentation"], 37, 53))
    annotation = {**copy.deepcopy(ANNOTATIONS[0]), "segmentation": code}
    annotation = utils.transform_instance_annotations(annotation, [transforms], (60, 80))
    assert_matches_record(annotation["segmentation"], record["rle_annotation_mask"])


def test_an_rle_through_a_crop_equals_the_recorded_one(read_records, assert_matches_record):
    record = read_records("a_data")["transform_instance_annotations"]
    record = record["rle_with_resize_74x106_flip_crop(10,6,80,60)"]
    transforms = [
        T.ResizeTransform(37, 53, 74, 106),
        T.HFlipTransform(106),
        T.CropTransform(10, 6, 80, 60),
    ]
    code = mask_util.merge(mask_util.frPyObjects(ANNOTATIONS[0]["segmentation"], 37, 53))
    annotation = {**copy.deepcopy(ANNOTATIONS[0]), "segmentation": code}
    utils.transform_instance_annotations(annotation, transforms, (60, 80))
    assert annotation["bbox"].tolist() == record["box"]
    assert_matches_record(annotation["segmentation"], record["mask"])


def test_no_annotations():
    instances = utils.annotations_to_instances([], (4, 5))
    assert len(instances) == 0
    assert instances.gt_boxes.tensor.shape == (0, 4)
    assert not instances.has("gt_masks")


def test_masks_from_all_forms():
    mask = np.zeros((4, 5), dtype=np.uint8)
    mask[1:3, 1:3] = 1
    base = {"bbox": [1, 1, 3, 3], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0}
    forms = [
        [[1.0, 1, 3, 1, 3, 3, 1, 3]],
        mask_util.encode(np.asfortranarray(mask)),
        mask,
    ]
    annotations = [{**base, "segmentation": form} for form in forms]
    masks = utils.annotations_to_instances(annotations, (4, 5), "bitmask").gt_masks
    assert isinstance(masks, BitMasks)
    assert (masks.tensor.numpy() == mask.astype(bool)).all()
    with pytest.raises(ValueError, match="polygon"):
        utils.annotations_to_instances(annotations, (4, 5), "polygon")


def test_filtering_by_box_and_mask():
    instances = Instances((4, 4))
    instances.gt_boxes = Boxes([[0, 0, 2, 2], [0, 0, 0, 2], [1, 1, 3, 3]])
    tensor = torch.zeros(3, 4, 4)
    tensor[:2, 0, 0] = 1
    instances.gt_masks = BitMasks(tensor)
    kept, which = utils.filter_empty_instances(instances, return_mask=True)
    assert which.tolist() == [True, False, False]
    assert len(kept) == 1
    assert len(utils.filter_empty_instances(instances, by_mask=False)) == 2
    assert len(utils.filter_empty_instances(instances, by_box=False)) == 2


def test_a_crop_contains_the_centre_of_the_instance():
    annotation = {"bbox": [40, 10, 50, 20], "bbox_mode": BoxMode.XYXY_ABS}
    for seed in range(5):
        np.random.seed(seed)
        crop = utils.gen_crop_transform_with_instance((20, 30), (50, 60), annotation)
        assert crop.x0 <= 45 <= crop.x0 + crop.w
        assert crop.y0 <= 15 <= crop.y0 + crop.h


def test_default_augmentations():
    cfg = get_cfg()
    resize, flip = utils.build_augmentation(cfg, True)
    assert (resize.short_edge_length, resize.max_size, resize.is_range) == ((800,), 1333, False)
    assert flip.horizontal
    assert len(utils.build_augmentation(cfg, False)) == 1
    cfg.INPUT.RANDOM_FLIP = "vertical"
    assert utils.build_augmentation(cfg, True)[1].vertical
    cfg.INPUT.RANDOM_FLIP = "none"
    assert len(utils.build_augmentation(cfg, True)) == 1
    assert utils.build_transform_gen is utils.build_augmentation


@pytest.fixture
def record(image_file, tmp_path):
    label = np.arange(37 * 53, dtype=np.uint8).reshape(37, 53)
    Image.fromarray(label).save(tmp_path / "label.png")
    crowd = {**copy.deepcopy(ANNOTATIONS[0]), "iscrowd": 1}
    return {
        "file_name": image_file,
        "sem_seg_file_name": str(tmp_path / "label.png"),
        "annotations": [*copy.deepcopy(ANNOTATIONS), crowd],
    }


@pytest.fixture
def cfg():
    cfg = get_cfg()
    cfg.INPUT.MIN_SIZE_TRAIN = (74,)
    cfg.INPUT.MIN_SIZE_TEST = 74
    cfg.INPUT.RANDOM_FLIP = "none"
    return cfg


def test_mapper_in_training(cfg, record):
    before = json.dumps(record, default=str)
    item = DatasetMapper(cfg, True)(record)
    assert json.dumps(record, default=str) == before  # the record is copied
    assert item["image"].shape == (3, 74, 106)
    assert item["image"].dtype == torch.uint8
    assert item["image"].is_contiguous()
    assert (item["height"], item["width"]) == (37, 53)
    assert item["sem_seg"].shape == (74, 106)
    assert item["sem_seg"].dtype == torch.int64
    assert "annotations" not in item
    instances = item["instances"]
    assert instances.image_size == (74, 106)
    assert instances.gt_boxes.tensor.tolist() == [[16, 10, 60, 40], [80, 60, 104, 72]]
    assert instances.gt_classes.tolist() == [2, 0]
    assert not instances.has("gt_masks")


def test_mapper_with_masks(cfg, record):
    cfg.MODEL.MASK_ON = True
    assert isinstance(DatasetMapper(cfg, True)(record)["instances"].gt_masks, PolygonMasks)
    cfg.INPUT.MASK_FORMAT = "bitmask"
    assert isinstance(DatasetMapper(cfg, True)(record)["instances"].gt_masks, BitMasks)


def test_mapper_reads_the_channel_order_of_the_config(cfg, record, image):
    cfg.INPUT.MIN_SIZE_TEST = 0
    item = DatasetMapper(cfg, False)(record)
    assert (item["image"].numpy() == image.transpose(2, 0, 1)[::-1]).all()  # BGR
    cfg.INPUT.FORMAT = "RGB"
    item = DatasetMapper(cfg, False)(record)
    assert (item["image"].numpy() == image.transpose(2, 0, 1)).all()


def test_mapper_in_testing_has_no_targets(cfg, record):
    item = DatasetMapper(cfg, False)(record)
    assert "instances" not in item
    assert "annotations" not in item


def test_mapper_crops_before_it_resizes(cfg, record):
    cfg.INPUT.CROP.ENABLED = True
    cfg.MODEL.MASK_ON = True
    mapper = DatasetMapper(cfg, True)
    assert [type(aug).__name__ for aug in mapper.augmentations.augs] == [
        "RandomCrop",
        "ResizeShortestEdge",
    ]
    assert mapper.recompute_boxes
    assert not DatasetMapper(cfg, False).recompute_boxes


def test_mapper_from_parts(record):
    mapper = DatasetMapper(True, augmentations=[T.Resize((20, 30))], image_format="L")
    item = mapper(record)
    assert item["image"].shape == (1, 20, 30)
    assert mapper.is_train
    assert mapper.image_format == "L"
    with pytest.raises(AssertionError):
        DatasetMapper(True, augmentations=[], image_format="L", recompute_boxes=True)
