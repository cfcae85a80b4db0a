"""Clips that are legal and unusual, and items that are not legal."""

from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model

from dvps_d2.d2 import load_config
from dvps_d2.d2.data.loaders import make_windows
from dvps_d2.structures import ClipTargets


def clip_item(masks, class_ids, depth):
    return {
        "video_id": "toy", "width": 64, "height": 64,
        "frames": [{"image": torch.full((3, 64, 64), 90, dtype=torch.uint8), "frame_id": 0}],
        "targets": ClipTargets(
            torch.tensor(class_ids, dtype=torch.int64), torch.arange(len(class_ids)), masks, depth
        ),
    }  # fmt: skip


def stripes(count):
    """``count`` vertical stripes over a 64 x 64 frame."""
    place = (torch.arange(64) * count // 64).expand(64, 64)
    return (place[None] == torch.arange(count)[:, None, None]).unsqueeze(1)


@pytest.mark.parametrize("groups", [0, 2], ids=["plain", "denoising"])
@pytest.mark.parametrize("sampling", ["points", "dense"])
@pytest.mark.parametrize(
    ("masks", "class_ids", "metres"),
    [
        pytest.param(stripes(8), [13] * 8, 9.0, id="more objects than queries"),
        pytest.param(torch.zeros(0, 1, 64, 64, dtype=torch.bool), [], 9.0, id="all void"),
        pytest.param(stripes(2), [0, 10], 0.0, id="no valid depth"),
        pytest.param(torch.zeros(1, 1, 64, 64, dtype=torch.bool), [13], 9.0, id="unseen segment"),
    ],
)
def test_losses_and_gradients_stay_finite(tiny_cfg, masks, class_ids, metres, sampling, groups):
    cfg = tiny_cfg(
        "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 5, "MODEL.MASK_FORMER.MASK_SAMPLING", sampling,
        "MODEL.MASK_FORMER.TRAIN_NUM_POINTS", 32, "MODEL.MASK_FORMER.DENOISING.GROUPS", groups,
    )  # fmt: skip
    model = build_model(cfg).train()
    depth = torch.full((1, 64, 64), metres)
    ordinary = clip_item(stripes(2), [0, 13], torch.full((1, 64, 64), 5.0))
    losses = model([clip_item(masks, class_ids, depth), ordinary])
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_video_of_one_frame_streams(tiny_cfg):
    model = build_model(tiny_cfg()).eval()
    frame = {"image": torch.zeros(3, 64, 64, dtype=torch.uint8), "frame_id": 7}
    record = {"video_id": "short", "frames": [frame]}
    (window,) = make_windows([record], 3)
    assert (window["is_first"], window["is_last"], window["position"]) == (True, True, 0)
    (out,) = model([window])
    assert [f["frame_id"] for f in out["frames"]] == [7]


def test_an_empty_window_is_refused(tiny_cfg):
    model = build_model(tiny_cfg()).eval()
    window = {"video_id": "a", "frames": [], "position": 0, "is_first": True, "is_last": False}
    with pytest.raises(ValueError, match="video 'a': a window without frames"):
        model([window])


def test_a_training_item_without_targets_is_refused(tiny_cfg):
    model = build_model(tiny_cfg()).train()
    item = clip_item(stripes(2), [0, 1], None)
    del item["targets"]
    with pytest.raises(KeyError, match="build_clip_train_loader"):
        model([item])


def test_two_videos_with_one_id_are_refused():
    record = {"video_id": "twin", "frames": [None]}
    with pytest.raises(ValueError, match="video id 'twin' occurs twice"):
        make_windows([record, record], 2)


def test_videos_may_take_turns(tiny_cfg):
    model = build_model(tiny_cfg()).eval()

    def window(video_id, position):
        frame = {
            "image": torch.full((3, 64, 64), 40 * position, dtype=torch.uint8),
            "frame_id": position,
        }
        return {
            "video_id": video_id, "frames": [frame], "position": position,
            "is_first": position == 0, "is_last": position == 2,
        }  # fmt: skip

    mixed = [model([window(video, t)])[0] for t in range(3) for video in "ab"]
    alone = [model([window("c", t)])[0] for t in range(3)]
    for t, expected in enumerate(alone):
        (want,) = expected["frames"]
        for output in mixed[2 * t : 2 * t + 2]:
            (frame,) = output["frames"]
            assert torch.equal(frame["panoptic_seg"][0], want["panoptic_seg"][0])


STREET = "configs/experiments/street/mindvps_compact.yaml"


@pytest.mark.parametrize(
    ("file", "overrides", "error", "text"),
    [
        ("nowhere.yaml", [], FileNotFoundError, "config nowhere.yaml does not exist"),
        (STREET, ["MODEL.FOO", 1], ValueError, "override 'MODEL.FOO 1': .*MODEL.FOO"),
        (STREET, ["MODEL.DEVICE"], ValueError, "in pairs of KEY and VALUE, got 'MODEL.DEVICE'"),
        (STREET, ["SEED", 1, "SOLVER.BASE_LR", 1], ValueError, r"'SOLVER.BASE_LR 1': .*write 1\.0"),
    ],
)
def test_config_errors_name_file_and_override(file, overrides, error, text, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(error, match=text):
        load_config(file, overrides)


@pytest.mark.parametrize("content", ["only words\n", "- a\n- b\n", "MODEL: 5\n"])
def test_a_file_that_is_no_config_is_named(content, tmp_path):
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(ValueError, match=r"x\.yaml"):
        load_config(tmp_path / "x.yaml")


def test_cuda_becomes_cpu_without_a_gpu(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert load_config(STREET).MODEL.DEVICE == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert load_config(STREET).MODEL.DEVICE == "cuda"
