import pytest
import torch
from detectron2.evaluation import inference_on_dataset
from detectron2.modeling import build_model

from dvps_d2.d2 import MultiScaleTesting, build_evaluator, build_video_test_loader
from dvps_d2.d2.multi_scale import resize_short_edge


@pytest.fixture
def make_model(dvis_cfg):
    def make(name):
        cfg = dvis_cfg(
            name, "MODEL.DVPS.DEPTH.ENABLED", True, "MODEL.DVPS.FUSION.SCOPE", "clip",
            "MODEL.REFINER.FEATURE_STORE", "half",
            *(["MODEL.META_ARCHITECTURE", "MinDVPS"] if name == "minvis" else []),
        )  # fmt: skip
        torch.manual_seed(0)
        return cfg, build_model(cfg).eval().double()

    return make


def test_the_size_of_the_loader_alone_changes_nothing(make_model, windows, stream):
    cfg, model = make_model("dvis_offline")
    plain = stream(model, windows(cfg, 4)[:2])
    same = stream(MultiScaleTesting(model, [64]), windows(cfg, 4)[:2])
    assert list(same) == list(plain)
    for key, (ids, info, depth) in plain.items():
        assert torch.equal(same[key][0], ids)
        assert [s["id"] for s in same[key][1]] == [s["id"] for s in info]
        torch.testing.assert_close(same[key][2], depth)


@pytest.mark.parametrize("name", ["minvis", "dvis_offline"])
def test_windows_do_not_change_several_views(make_model, name, windows, stream):
    cfg, model = make_model(name)
    testing = MultiScaleTesting(model, [48, 64], flip=name == "minvis")
    assert len(testing.views) == (4 if name == "minvis" else 2)
    whole = stream(testing, windows(cfg, 0)[:1])  # one video of two
    cut = stream(testing, windows(cfg, 4)[:2])
    assert len(whole) == 6
    assert list(cut) == list(whole)
    assert all(ids.shape == (64, 128) for ids, _, _ in whole.values())
    equal = [torch.equal(cut[key][0], ids) for key, (ids, _, _) in whole.items()]
    assert all(equal)
    assert len(testing.streams) == len(model.streams) == 0


def test_the_evaluator_takes_the_output_of_the_configured_wrapper(make_model, tmp_path):
    cfg, model = make_model("minvis")
    cfg.merge_from_list(["TEST.AUG.MIN_SIZES", (48, 64)])
    testing = MultiScaleTesting.from_config(cfg, model.float())
    evaluator = build_evaluator(cfg, "toy_street_val", str(tmp_path))
    loader = build_video_test_loader(cfg, "toy_street_val")
    results = inference_on_dataset(testing, loader, evaluator)
    assert 0 <= results["dvpq"]["all"] <= 100


def test_a_plain_image_is_seen_several_times_too(make_model):
    _, model = make_model("dvis_offline")
    image = torch.randint(0, 256, (3, 50, 90), dtype=torch.uint8)
    (out,) = MultiScaleTesting(model, [32, 50])([{"image": image, "height": 100, "width": 180}])
    assert out["panoptic_seg"][0].shape == out["depth"].shape == (100, 180)


def test_sizes_follow_the_short_edge_and_its_limit():
    image = torch.zeros(3, 10, 20, dtype=torch.uint8)
    assert resize_short_edge(image, 15, 100).shape == (3, 15, 30)
    assert resize_short_edge(image, 15, 24).shape == (3, 12, 24)


def test_no_size_is_refused(make_model):
    with pytest.raises(ValueError, match=r"TEST\.AUG\.MIN_SIZES"):
        MultiScaleTesting(make_model("minvis")[1], [])
