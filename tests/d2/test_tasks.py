"""Panoptic tubes, semantic maps and instances of a video from one pass, for every query system."""

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.structures import Instances

ON = ["MODEL.MASK_FORMER.TEST.SEMANTIC_ON", True, "MODEL.MASK_FORMER.TEST.INSTANCE_ON", True,
      "MODEL.MASK_FORMER.TEST.MAX_NUM", 5]  # fmt: skip
SYSTEMS = {
    "MinVIS": ("minvis", []),
    "MinDVPS": ("minvis", ["MODEL.META_ARCHITECTURE", "MinDVPS"]),
    "DVIS_online": ("dvis_online", []),
    "DVIS_offline": ("dvis_offline", []),
}


@pytest.fixture
def make(dvis_cfg):
    def make_model(system, *overrides):
        name, more = SYSTEMS[system]
        depth = ["MODEL.DVPS.DEPTH.ENABLED", system == "MinDVPS"]
        full = ["MODEL.REFINER.FEATURE_STORE", "full"]
        cfg = dvis_cfg(name, *more, *depth, *full, *overrides)
        torch.manual_seed(0)
        return cfg, build_model(cfg).eval().double()

    return make_model


def read(model, items):
    """Frames of all windows by number, and the instances of the video."""
    frames, instances = {}, None
    for item in items:
        (output,) = model([item])
        frames |= {frame["frame_id"]: frame for frame in output["frames"]}
        assert ("instances" in output) == item["is_last"]
        if item["is_last"]:
            instances = list(output["instances"])
    return frames, instances


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_three_tasks_from_one_pass_whatever_the_windows(make, windows, system, scope):
    cfg, model = make(system, *ON, "MODEL.DVPS.FUSION.SCOPE", scope)
    passes = []
    model.pipeline.segmenter.register_forward_hook(
        lambda module, args, out: passes.append(args[0].num_frames)
    )
    whole, instances = read(model, windows(cfg, 0)[:1])
    assert passes == [6]
    assert len(whole) == 6
    assert len(instances) == 5
    assert instances == sorted(instances, key=lambda instance: -instance["score"])
    for instance in instances:
        assert instance["category_id"] >= 11  # things of Cityscapes
        assert [mask["size"] for mask in instance["segmentations"]] == [[64, 128]] * 6
    cut, same = read(model, windows(cfg, 4)[:2])
    assert [i["track_id"] for i in same] == [i["track_id"] for i in instances]
    assert [i["segmentations"] for i in same] == [i["segmentations"] for i in instances]
    for number, frame in whole.items():
        assert ("depth" in frame) == (system == "MinDVPS")
        assert frame["semantic_map"].shape == (64, 128)
        assert torch.equal(frame["semantic_map"], cut[number]["semantic_map"])
        assert torch.equal(frame["panoptic_seg"][0], cut[number]["panoptic_seg"][0])


def test_panoptic_results_are_those_without_further_tasks(make, windows, stream):
    cfg, model = make("MinDVPS", *ON)
    _, plain = make("MinDVPS")
    more, fewer = (stream(m, windows(cfg, 4)[:2]) for m in (model, plain))
    for key, (ids, _, depth) in fewer.items():
        assert torch.equal(more[key][0], ids)
        torch.testing.assert_close(more[key][2], depth)


def test_one_task_alone(make, windows):
    off = ["MODEL.MASK_FORMER.TEST.PANOPTIC_ON", False]
    cfg, model = make("MinVIS", *ON[:2], *off)
    (output,) = model(windows(cfg, 0)[:1])
    assert "instances" not in output
    assert all(set(frame) == {"frame_id", "semantic_map"} for frame in output["frames"])
    with pytest.raises(ValueError, match="all tasks are off"):
        make("MinVIS", *off)


def test_instances_are_read_after_the_frames(make, windows):
    cfg, model = make("DVIS_offline", *ON)
    (output,) = model(windows(cfg, 0)[:1])
    with pytest.raises(RuntimeError, match="read 'frames' to the end first"):
        next(iter(output["instances"]))


@pytest.mark.parametrize("system", ["MinVIS", "DVIS_offline"])
def test_an_image_gives_what_detectron2_gives(make, system):
    _, model = make(system, *ON)
    image = torch.randint(0, 256, (3, 50, 90), dtype=torch.uint8)
    (out,) = model([{"image": image, "height": 100, "width": 180}])
    assert set(out) == {"panoptic_seg", "sem_seg", "instances"}
    assert out["sem_seg"].shape == (19, 100, 180)
    assert (out["sem_seg"].sum(0) == 1).all()
    found = out["instances"]
    assert isinstance(found, Instances)
    assert found.pred_masks.shape == (5, 100, 180)
    assert len(found.pred_classes) == len(found.scores) == 5
