"""VPSNet and SiamTrack on the toy street, shrunk until they train in seconds."""

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import inference_on_dataset
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances

from dvps_d2.d2 import (
    Trainer,
    build_clip_train_loader,
    build_evaluator,
    build_optimizer,
    build_video_test_loader,
    register_video_dataset,
)
from dvps_d2.d2.data import ClipMapper
from dvps_d2.formats.png import write_png
from dvps_d2.segmenter.boxes import FuseNeck

SYSTEMS = ("base", "fuse", "track", "fusetrack", "siamtrack")
SHRUNK = [
    "MODEL.DEVICE", "cpu",
    "DATASETS.TRAIN", "('toy_street_train',)",
    "DATASETS.TEST", "('toy_street_val',)",
    "MODEL.COMPACT_RESNET.WIDTH", 16,
    "MODEL.COMPACT_RESNET.BLOCKS", [1, 1, 1, 1],
    "MODEL.FPN.OUT_CHANNELS", 32,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN", 50,
    "MODEL.RPN.PRE_NMS_TOPK_TEST", 20,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN", 50,
    "MODEL.RPN.POST_NMS_TOPK_TEST", 20,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 32,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.1,
    "MODEL.ROI_BOX_HEAD.FC_DIM", 32,
    "MODEL.ROI_MASK_HEAD.NUM_CONV", 1,
    "MODEL.ROI_MASK_HEAD.CONV_DIM", 16,
    "MODEL.VPSNET.SEMANTIC_CHANNELS", 32,
    "MODEL.VPSNET.TRACK.HIDDEN_DIM", 16,
    "MODEL.VPSNET.FLOW.NAME", "dis",
    "MODEL.VPSNET.SIAMESE.PROJECTION_DIM", 16,
    "SOLVER.IMS_PER_BATCH", 2,
    "SOLVER.MAX_ITER", 4,
    "SOLVER.AMP.ENABLED", False,
    "DATALOADER.NUM_WORKERS", 0,
    "SEED", 3,
]  # fmt: skip
DETECTOR = {"loss_rpn_cls", "loss_rpn_loc", "loss_cls", "loss_box_reg", "loss_mask"}
HEADS = DETECTOR | {"loss_semantic", "loss_panoptic"}
SIAMESE = {"loss_contrast_semantic", "loss_contrast_instance", "loss_warp", "loss_tube"}


@pytest.fixture
def vpsnet_cfg(repo_cfg, tmp_path):
    """Make a shrunk street config: ``vpsnet_cfg("fusetrack", *overrides)``."""

    def make(name, *overrides):
        folder = ["OUTPUT_DIR", str(tmp_path / name)]
        return repo_cfg(f"street/vpsnet_{name}_compact.yaml", *SHRUNK, *folder, *overrides)

    return make


def windows(cfg, size):
    cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE = size
    return [item for batch in build_video_test_loader(cfg, "toy_street_val") for item in batch]


def stream(model, items):
    """(video, frame) -> (ids, segments) of everything that comes out."""
    out = {}
    for item in items:
        (result,) = model([item])
        for frame in result["frames"]:
            out[result["video_id"], frame["frame_id"]] = frame["panoptic_seg"]
    return out


def unsure(model):
    """An untrained detector that sees things all over the place, so that there is much to track."""
    heads = model.pipeline.segmenter.detector.roi_heads
    torch.nn.init.normal_(heads.box_predictor.cls_score.weight, std=0.5)
    heads.box_predictor.cls_score.bias.data[-1] = -1  # background
    heads.mask_head.predictor.bias.data.fill_(3)
    return model


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_loss_falls_on_street_files(vpsnet_cfg, name):
    cfg = vpsnet_cfg(name)
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    batch = next(iter(build_clip_train_loader(cfg)))
    totals = []
    for _ in range(6):
        losses = model(batch)
        totals.append(sum(losses.values()))
        totals[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    expected = HEADS | ({"loss_track"} if name.endswith("track") else set())
    assert set(losses) == expected | (SIAMESE if name == "siamtrack" else set())
    assert all(torch.isfinite(total) for total in totals)
    assert totals[-1] < 0.9 * totals[0]


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_parameter_is_trained(vpsnet_cfg, name):
    cfg = vpsnet_cfg(name)
    model = build_model(cfg).train()
    sum(model(next(iter(build_clip_train_loader(cfg)))).values()).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", ["base", "fusetrack", "track"])
def test_windows_do_not_change_a_video(vpsnet_cfg, name):
    cfg = vpsnet_cfg(name, "MODEL.VPSNET.FUSION.MAJORITY", 1.1)  # no instance becomes stuff
    torch.manual_seed(0)
    # In float32, which Detectron2's boxes are in any case: some pixels may change sides.
    model = unsure(build_model(cfg)).eval()
    whole = stream(model, windows(cfg, 0))
    assert len(whole) == 12
    things = [s for _, info in whole.values() for s in info if s["isthing"]]
    assert len(things) > 12  # not a comparison of streets without traffic
    for size in (1, 4):
        cut = stream(model, windows(cfg, size))
        assert list(cut) == list(whole)
        for key, (ids, info) in whole.items():
            assert (ids == cut[key][0]).float().mean() >= 0.999
            assert [s["id"] for s in info] == [s["id"] for s in cut[key][1]]
    assert len(model.streams) == 0


def test_the_evaluator_takes_the_output(vpsnet_cfg, tmp_path):
    cfg = vpsnet_cfg("track")
    model = unsure(build_model(cfg))
    evaluator = build_evaluator(cfg, "toy_street_val", str(tmp_path))
    results = inference_on_dataset(model, build_video_test_loader(cfg, "toy_street_val"), evaluator)
    assert 0 <= results["vpq"]["all"] <= 100


def test_a_plain_image_is_a_video_of_one_frame(vpsnet_cfg):
    model = unsure(build_model(vpsnet_cfg("fusetrack"))).eval()
    image = torch.randint(0, 256, (3, 50, 90), dtype=torch.uint8)
    (out,) = model([{"image": image, "height": 100, "width": 180}])
    ids, info = out["panoptic_seg"]
    assert ids.shape == (100, 180)
    assert {s["id"] for s in info} == set(ids.unique().tolist()) - {0}


def test_a_street_without_detections_is_stuff(vpsnet_cfg):
    cfg = vpsnet_cfg("track", "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 1.0)
    out = stream(build_model(cfg).eval(), windows(cfg, 3)[:2])
    assert len(out) == 6
    assert not any(s["isthing"] for _, info in out.values() for s in info)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_street_without_proposals_is_stuff(vpsnet_cfg, monkeypatch, legacy):
    cfg = vpsnet_cfg("track", "MODEL.VPSNET.LEGACY_BOXES", legacy)
    model = build_model(cfg).eval()
    detector = model.pipeline.segmenter.detector

    def propose(images, features, targets):
        nothing = [Instances(size, proposal_boxes=Boxes([])) for size in images.image_sizes]
        return nothing, {}

    monkeypatch.setattr(detector.proposal_generator, "forward", propose)
    out = stream(model, windows(cfg, 3)[:1])
    assert len(out) == 3
    assert not any(s["isthing"] for _, info in out.values() for s in info)


def test_frames_without_things_can_be_trained_on(vpsnet_cfg):
    cfg = vpsnet_cfg("siamtrack")
    model = build_model(cfg).train()
    batch = next(iter(build_clip_train_loader(cfg)))
    for item in batch:
        targets = item["targets"]
        things = torch.isin(targets.class_ids, torch.tensor(sorted(model.thing_ids)))
        targets.masks[things, 0] = False
    losses = model(batch)
    assert all(torch.isfinite(value) for value in losses.values())
    sum(losses.values()).backward()


@pytest.mark.parametrize("kept", [None, *sorted(SIAMESE)])
def test_each_siamese_loss_can_stand_alone(vpsnet_cfg, kept):
    keys = {
        "loss_contrast_semantic": "SEMANTIC_WEIGHT",
        "loss_contrast_instance": "INSTANCE_WEIGHT",
        "loss_warp": "WARP_WEIGHT",
        "loss_tube": "TUBE_WEIGHT",
    }
    off = [
        part
        for name, key in keys.items()
        if name != kept
        for part in (f"MODEL.VPSNET.SIAMESE.{key}", 0.0)
    ]
    cfg = vpsnet_cfg("siamtrack", *off)
    losses = build_model(cfg).train()(next(iter(build_clip_train_loader(cfg))))
    assert set(losses) & SIAMESE == ({kept} if kept else set())
    assert "loss_track" in losses


def test_siamtrack_is_track_at_inference(vpsnet_cfg):
    siamese, track = (build_model(vpsnet_cfg(name)) for name in ("siamtrack", "track"))
    report = track.load_state_dict(siamese.state_dict(), strict=False)
    assert report.missing_keys == []
    assert {key.split(".")[1] for key in report.unexpected_keys} == {"siamese"}


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("track", ["MODEL.VPSNET.TRACKER", "class_sort", "INPUT.SAMPLING_FRAME_NUM", 1]),
        ("fusetrack", ["MODEL.VPSNET.TRACKER", "flow_iou"]),
        ("fusetrack", ["MODEL.VPSNET.TRACK_ON_FUSED", False]),
        ("fusetrack", ["MODEL.VPSNET.ATTEND", False]),
        ("fusetrack", ["MODEL.VPSNET.ALIGN", False]),
        ("track", ["MODEL.VPSNET.TRACK.MASK_WEIGHT", 2.0]),
        (
            "track",
            [
                "MODEL.VPSNET.LEGACY_BOXES", True,
                "MODEL.ANCHOR_GENERATOR.NAME", "LegacyAnchorGenerator",
                "MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign",
            ],
        ),
    ],
    ids=["class sort", "flow iou", "disjoined", "align only", "attend only", "masks", "legacy"],
)  # fmt: skip
def test_ablations_are_config_choices(vpsnet_cfg, name, overrides):
    cfg = vpsnet_cfg(name, *overrides)
    model = unsure(build_model(cfg))
    losses = model.train()(next(iter(build_clip_train_loader(cfg))))
    assert all(torch.isfinite(value) for value in losses.values())
    out = stream(model.eval(), windows(cfg, 3)[:1])
    assert any(s["isthing"] for _, info in out.values() for s in info)


@pytest.mark.parametrize(
    ("name", "overrides", "text"),
    [
        ("base", ["MODEL.VPSNET.NECK", "fused"], "NECK='fused' is not one of none, gather, fuse"),
        ("base", ["MODEL.VPSNET.TRACKER", "iou"], "TRACKER='iou' is not one of order, class_sort"),
        (
            "track",
            ["INPUT.SAMPLING_FRAME_NUM", 1],
            "SAMPLING_FRAME_NUM=1, but this model trains on",
        ),
        (
            "base",
            ["MODEL.ROI_HEADS.NUM_CLASSES", 80],
            "NUM_CLASSES=80, but the dataset has 8 classes",
        ),
        ("base", ["MODEL.MASK_ON", False], "panoptic segmentation needs masks"),
        ("siamtrack", ["MODEL.VPSNET.NECK", "fuse"], 'use it with NECK "none" or "gather"'),
        ("fuse", ["MODEL.VPSNET.FLOW.NAME", "sift"], "FLOW.NAME='sift' is not one of raft"),
    ],
)
def test_config_mistakes_are_named(vpsnet_cfg, name, overrides, text):
    with pytest.raises(ValueError, match=text):
        build_model(vpsnet_cfg(name, *overrides))


@pytest.mark.parametrize("name", SYSTEMS)
def test_each_system_is_scored(vpsnet_cfg, name):
    overrides = ["TEST.CONSISTENCY_FLOW", "dis"] if name == "siamtrack" else []
    cfg = vpsnet_cfg(name, *overrides)
    results = Trainer.test(cfg, unsure(build_model(cfg)))
    assert 0 <= results["vpq"]["all"] <= 100
    assert ("tc" in results) == (name == "siamtrack")
    if name == "siamtrack":
        assert 0 < results["tc"]["all"] <= 100


CHANGES = {
    "align only": ("fusetrack", ["MODEL.VPSNET.ATTEND", False]),
    "attend only": ("fusetrack", ["MODEL.VPSNET.ALIGN", False]),
    "disjoined": ("fusetrack", ["MODEL.VPSNET.TRACK_ON_FUSED", False]),
    "class sort": ("fusetrack", ["MODEL.VPSNET.TRACKER", "class_sort"]),
    "flow iou": ("fusetrack", ["MODEL.VPSNET.TRACKER", "flow_iou"]),
    "mask overlap": ("fusetrack", ["MODEL.VPSNET.TRACK.MASK_WEIGHT", 50.0]),
    "cosine": ("fusetrack", ["MODEL.VPSNET.TRACK.SIMILARITY", "cosine"]),
    "sum of levels": ("fusetrack", ["MODEL.VPSNET.GATHER", "sum"]),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_with_the_same_weights_an_ablation_computes_something_else(vpsnet_cfg, change):
    """What is fused changes what is segmented; who tracks changes ids and nothing else."""
    name, overrides = CHANGES[change]
    torch.manual_seed(0)
    full = unsure(build_model(vpsnet_cfg(name))).eval()
    if full.pipeline.tracker is not None:
        torch.nn.init.normal_(full.pipeline.tracker.head.fcs[1].weight, std=0.3)
    cfg = vpsnet_cfg(name, *overrides)
    changed = build_model(cfg).eval()
    changed.load_state_dict(full.state_dict(), strict=False)
    items = windows(cfg, 3)[:2]
    before, after = stream(full, items), stream(changed, items)
    assert any(not torch.equal(before[key][0], after[key][0]) for key in before)
    if change in ("align only", "attend only", "sum of levels"):
        return
    for key, (ids, info) in before.items():
        assert classes_of(ids, info).equal(classes_of(*after[key]))


def classes_of(ids, info):
    """Class of every pixel, void -1."""
    table = torch.full((int(ids.max()) + 1,), -1)
    for segment in info:
        table[segment["id"]] = segment["category_id"]
    return table[ids.long()]


def test_both_frames_can_be_supervised(vpsnet_cfg):
    """The mean over both roles of a pair, where otherwise one of them is drawn."""
    cfg = vpsnet_cfg("fusetrack", "MODEL.VPSNET.SUPERVISE_BOTH", True)
    assert build_model(cfg)._roles() == [(0, 1), (1, 0)]
    one = build_model(vpsnet_cfg("fusetrack"))
    assert {tuple(one._roles()) for _ in range(20)} == {((0, 1),), ((1, 0),)}
    losses = build_model(cfg).train()(next(iter(build_clip_train_loader(cfg))))
    assert set(losses) == HEADS | {"loss_track"}
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.fixture
def toy_images(tmp_path):
    """Two labelled images in the layout of Cityscapes, one of them with the frame before."""
    rng = np.random.default_rng(0)
    for sequence in (0, 1):
        stem = f"aachen_{sequence:06d}_000019"
        label = np.full((64, 128), 7, dtype=np.uint16)  # road
        label[:24], label[20:44, 40:80] = 23, 26001  # sky, a car
        write_png(tmp_path / f"gtFine/train/aachen/{stem}_gtFine_instanceIds.png", label)
        image = rng.integers(0, 255, (64, 128, 3), dtype=np.uint8)
        write_png(tmp_path / f"leftImg8bit/train/aachen/{stem}_leftImg8bit.png", image)
    raw = tmp_path / "leftImg8bit_sequence/train/aachen/aachen_000000_000018_leftImg8bit.png"
    write_png(raw, np.roll(image, 3, axis=1))
    name = "toy_images_train"
    register_video_dataset(name, "cityscapes", tmp_path, "train", evaluator_type="cityscapes_vps")
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


IMAGES = ["DATASETS.TRAIN", "('toy_images_train',)", "DATASETS.TEST", "('toy_images_train',)"]


def test_fuse_on_images_supervises_the_labelled_one_beside_its_raw_neighbour(
    vpsnet_cfg, toy_images, monkeypatch
):
    chosen = ["INPUT.UNLABELLED_REFERENCES", True, "INPUT.SAMPLING_UNIT", "number"]
    cfg = vpsnet_cfg("fuse", *IMAGES, *chosen)
    model = build_model(cfg).train()
    pairs = set()
    found = model.pipeline.segmenter.find_flow

    def find_flow(images, references, names):
        pairs.update((name.video_id, *name[1:]) for name in names)
        return found(images, references, names)

    monkeypatch.setattr(model.pipeline.segmenter, "find_flow", find_flow)
    batches = iter(build_clip_train_loader(cfg))
    for _ in range(4):
        batch = next(batches)
        losses = model(batch)
        for item in batch:
            assert item["key_frame"] == 0
            assert item["targets"].masks[:, 0].flatten(1).any(dim=1).all()
            if item["video_id"].startswith("aachen_000000"):
                assert not item["targets"].masks[:, 1].any()
        assert set(losses) == HEADS
        assert all(torch.isfinite(value) for value in losses.values())
    # The second image has no neighbour and refers to itself.
    assert pairs == {("aachen_000000_000019", 19, 18), ("aachen_000001_000019", 19, 19)}
    results = Trainer.test(cfg, model)
    assert np.isfinite(results["vpq"]["all"])


def test_fuse_trains_on_single_images_that_are_their_own_reference(vpsnet_cfg, toy_images):
    cfg = vpsnet_cfg("fuse", *IMAGES, "INPUT.SAMPLING_FRAME_NUM", 1)
    losses = build_model(cfg).train()(next(iter(build_clip_train_loader(cfg))))
    assert set(losses) == HEADS
    assert all(torch.isfinite(value) for value in losses.values())


def test_the_config_of_fuse_on_cityscapes_images(repo_cfg):
    small = ["MODEL.BACKBONE.NAME", "build_compact_resnet_fpn_backbone", "MODEL.DEVICE", "cpu"]
    small += ["MODEL.ROI_BOX_HEAD.FC_DIM", 16, "MODEL.FPN.OUT_CHANNELS", 32]
    cfg = repo_cfg("cityscapes_images/vpsnet_fuse_R50.yaml", *small)
    assert cfg.DATASETS.TEST == ("cityscapes_images_val",)
    assert cfg.INPUT.UNLABELLED_REFERENCES
    model = build_model(cfg)
    assert isinstance(model.pipeline.segmenter.extra_neck, FuseNeck)
    assert model._roles() == [(0, 1)]


def test_a_video_of_one_labelled_frame_is_paired_with_itself(vpsnet_cfg):
    cfg = vpsnet_cfg("siamtrack")
    (record, *_) = DatasetCatalog.get("toy_street_train")
    mapper = ClipMapper.from_config(cfg)
    single = {**record, "frames": record["frames"][:1], "dataset_name": "toy_street_train"}
    item = mapper(single, 0)
    assert item["frames"][0]["frame_id"] == item["frames"][1]["frame_id"]
    losses = build_model(cfg).train()([item, mapper(single, 1)])
    assert all(torch.isfinite(value) for value in losses.values())
    assert losses["loss_contrast_semantic"] > 0


def test_a_video_of_one_frame_is_tracked(vpsnet_cfg):
    cfg = vpsnet_cfg("fusetrack")
    model = unsure(build_model(cfg)).eval()
    item = {**windows(cfg, 1)[0], "is_first": True, "is_last": True}
    (frame,) = stream(model, [item]).values()
    assert any(segment["isthing"] for segment in frame[1])
    assert len(model.streams) == 0


def test_a_missing_flow_file_is_named(vpsnet_cfg, tmp_path):
    files = ["MODEL.VPSNET.FLOW.NAME", "files", "MODEL.VPSNET.FLOW.FOLDER", str(tmp_path / "flow")]
    cfg = vpsnet_cfg("fuse", *files)
    with pytest.raises(FileNotFoundError, match=r"flow.000000.1_0\.npy does not exist"):
        stream(build_model(cfg).eval(), windows(cfg, 2)[:1])


def test_boxes_outside_the_frame_are_harmless(vpsnet_cfg, monkeypatch):
    cfg = vpsnet_cfg("track", "MODEL.VPSNET.FUSION.MAJORITY", 1.1)  # no instance becomes stuff
    model = build_model(cfg).eval()
    outside = {
        "boxes": torch.tensor([[-90.0, -90, -20, -20], [500, 10, 600, 40], [-9, -9, 20, 20]]),
        "scores": torch.tensor([0.9, 0.8, 0.7]),
        "class_ids": torch.tensor([13, 13, 13]),
        "mask_logits": torch.full((3, 14, 14), 60.0),
    }
    detector = model.pipeline.segmenter.detector
    monkeypatch.setattr(
        detector, "_detect", lambda pyramid, proposals: [outside for _ in proposals]
    )
    out = stream(model, windows(cfg, 3)[:1])
    for _, info in out.values():
        assert [s["score"] for s in info if s["isthing"]] == [pytest.approx(0.7)]
