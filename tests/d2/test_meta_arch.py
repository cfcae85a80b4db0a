import numpy as np
import pytest
import torch
from detectron2.evaluation import inference_on_dataset
from detectron2.modeling import build_model

from dvps_d2.d2 import (
    build_clip_train_loader,
    build_evaluator,
    build_optimizer,
    build_video_test_loader,
)


@pytest.mark.parametrize("arch", ["MinDVPS", "MinVIS"])
def test_the_loss_falls_on_street_files(tiny_cfg, arch):
    cfg = tiny_cfg("MODEL.META_ARCHITECTURE", arch, "MODEL.DVPS.DEPTH.ENABLED", arch == "MinDVPS")
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    batch = next(iter(build_clip_train_loader(cfg)))
    totals = []
    for _ in range(8):
        losses = model(batch)
        totals.append(sum(losses.values()))
        totals[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.isfinite(total) for total in totals)
    assert totals[-1] < 0.8 * totals[0]
    assert any(name.startswith("loss_depth") for name in losses) == (arch == "MinDVPS")


@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_windows_do_not_change_a_stream(tiny_cfg, scope, windows, stream):
    cfg = tiny_cfg("MODEL.DVPS.FUSION.SCOPE", scope)
    torch.manual_seed(0)
    model = build_model(cfg).eval().double()
    whole = stream(model, windows(cfg, 0))
    assert len(whole) == 12
    assert sum(len(info) for _, info, _ in whole.values()) > 12  # not a comparison of empty maps
    for size in (1, 4):
        cut = stream(model, windows(cfg, size))
        assert cut.keys() == whole.keys()
        for key, (ids, info, depth) in whole.items():
            assert torch.equal(ids, cut[key][0])
            assert [s["id"] for s in info] == [s["id"] for s in cut[key][1]]
            torch.testing.assert_close(depth, cut[key][2])
    assert len(model.streams) == 0


def test_the_evaluator_takes_the_output(tiny_cfg, tmp_path):
    cfg = tiny_cfg()
    model = build_model(cfg)
    evaluator = build_evaluator(cfg, "toy_street_val", str(tmp_path))
    results = inference_on_dataset(model, build_video_test_loader(cfg, "toy_street_val"), evaluator)
    assert 0 <= results["vpq"]["all"] <= 100
    assert 0 <= results["dvpq"]["all"] <= results["vpq"]["all"] + 1e-9
    assert results["depth"]["abs_rel"] > 0
    assert (tmp_path / "toy_street_val_scores.json").is_file()


def test_a_plain_image_is_a_video_of_one_frame(tiny_cfg, windows):
    cfg = tiny_cfg()
    model = build_model(cfg).eval()
    image = torch.randint(0, 256, (3, 50, 90), dtype=torch.uint8)
    (first,) = model([windows(cfg, 3)[0]])
    (out,) = model([{"image": image, "height": 100, "width": 180}])
    ids, info = out["panoptic_seg"]
    assert ids.shape == out["depth"].shape == (100, 180)
    assert ids.dtype == torch.int32
    assert {s["id"] for s in info} == set(ids.unique().tolist()) - {0}
    assert len(model.streams) == 1  # the video under way was not touched
    assert len(list(first["frames"])) == 3


def test_streams_refuse_gaps_and_strangers(tiny_cfg, windows):
    cfg = tiny_cfg()
    model = build_model(cfg).eval()
    first, second, third = windows(cfg, 2)[:3]
    with pytest.raises(KeyError, match="first window .* never came"):
        model([second])
    model([first])
    with pytest.raises(ValueError, match="starts at frame position 4, but 2 frames were seen"):
        model([third])
    model([second])
    model([third])
    with pytest.raises(KeyError, match="already ended"):
        model([third])


def test_starting_again_forgets_and_training_forgets_all(tiny_cfg, windows):
    cfg = tiny_cfg()
    model = build_model(cfg).eval()
    first, second, _ = windows(cfg, 2)[:3]
    model([first])
    model([second])
    model([first])  # is_first: from the start again
    model([second])
    model.train()
    assert len(model.streams) == 0


def test_the_sky_is_far_away(tiny_cfg):
    cfg = tiny_cfg()
    model = build_model(cfg).eval()
    assert model.sky_depth == {10: 80.0}
    model.sky_depth = dict.fromkeys(range(19), 77.0)
    (out,) = model([{"image": torch.zeros(3, 64, 64, dtype=torch.uint8)}])
    assert (out["depth"] == 77.0).all() == bool((out["panoptic_seg"][0] > 0).all())
    assert (out["depth"][out["panoptic_seg"][0] > 0] == 77.0).all()


def test_state_dict_has_published_keys(tiny_cfg):
    model = build_model(tiny_cfg())
    keys = set(model.state_dict())
    assert "sem_seg_head.predictor.query_feat.weight" in keys
    assert "sem_seg_head.pixel_decoder.mask_features.weight" in keys
    assert not any(key.startswith("pipeline") for key in keys)
    assert any(key.startswith("backbone.") for key in keys)
    other = build_model(tiny_cfg("SEED", 4))
    report = other.load_state_dict(model.state_dict())
    assert not report.missing_keys
    assert not report.unexpected_keys
    for key, value in other.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


def test_missing_keys_are_reported_by_their_published_names(tiny_cfg):
    model = build_model(tiny_cfg())
    state = model.state_dict()
    del state["sem_seg_head.predictor.query_feat.weight"]
    report = model.load_state_dict({**state, "stranger": torch.zeros(1)}, strict=False)
    assert report.missing_keys == ["sem_seg_head.predictor.query_feat.weight"]
    assert report.unexpected_keys == ["stranger"]


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (
            ["MODEL.SEM_SEG_HEAD.NUM_CLASSES", 20],
            "NUM_CLASSES=20, but dataset 'toy_street_train' has",
        ),
        (["MODEL.DVPS.FUSION.SCOPE", "video"], "FUSION.SCOPE='video' is not one of frame, clip"),
        (["MODEL.DVPS.ASSOCIATION", "none"], "ASSOCIATION='none' is not one of query_matching"),
        (["MODEL.DVPS.DEPTH.ENABLED", False], "enable depth, or choose MinVIS"),
        (["MODEL.MASK_FORMER.MASK_SAMPLING", "all"], "MASK_SAMPLING='all' is not one of"),
        (["DATASETS.TRAIN", "()", "DATASETS.TEST", "()"], "the dataset names the classes"),
    ],
)
def test_config_mistakes_are_named(tiny_cfg, overrides, text):
    with pytest.raises(ValueError, match=text.replace("(", r"\(")):
        build_model(tiny_cfg(*overrides))


def test_the_published_config_builds_and_trains(repo_cfg):
    cfg = repo_cfg(
        "cityscapes_dvps/mindvps_R50.yaml",
        "MODEL.DEVICE", "cpu",
        "DATASETS.TRAIN", "('toy_street_train',)", "DATASETS.TEST", "('toy_street_val',)",
        "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 12, "MODEL.MASK_FORMER.TRAIN_NUM_POINTS", 64,
        "INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.CROP.SIZE", [64, 64], "DATALOADER.NUM_WORKERS", 0,
        "SOLVER.IMS_PER_BATCH", 1,
    )  # fmt: skip
    model = build_model(cfg).train()
    losses = model(next(iter(build_clip_train_loader(cfg))))
    assert len(losses) == 4 * cfg.MODEL.MASK_FORMER.DEC_LAYERS
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []


def test_ids_are_int32_and_depth_float32(tiny_cfg, windows, stream):
    cfg = tiny_cfg()
    model = build_model(cfg).eval()
    for ids, _, depth in stream(model, windows(cfg, 3)[:1]).values():
        assert ids.numpy().dtype == np.int32
        assert depth.numpy().dtype == np.float32
