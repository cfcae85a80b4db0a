from dataclasses import replace

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.evaluation import inference_on_dataset
from detectron2.modeling import build_model
from detectron2.utils.events import EventStorage

from dvps_d2.d2 import (
    Trainer,
    build_clip_train_loader,
    build_evaluator,
    build_optimizer,
    build_video_test_loader,
)
from dvps_d2.d2.boundary import make_clip, make_targets

STAGES = {"dvis_online": "tracker", "dvis_offline": "refiner"}
LAYERS = 2  # of tracker and refiner


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("depth", [False, True], ids=["vps", "dvps"])
def test_the_loss_falls_and_nothing_frozen_changes(dvis_cfg, name, depth):
    cfg = dvis_cfg(name, "MODEL.DVPS.DEPTH.ENABLED", depth, "SOLVER.BASE_LR", 0.005)
    torch.manual_seed(0)
    model = build_model(cfg).train()
    optimizer = build_optimizer(cfg, model)
    batch = next(iter(build_clip_train_loader(cfg)))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    totals = []
    for _ in range(12):
        losses = model(batch)
        totals.append(sum(losses.values()))
        totals[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert len(losses) == (4 if depth else 3) * LAYERS
    assert all(torch.isfinite(total) for total in totals)
    assert totals[-1] < 0.8 * totals[0]
    changed = {k.split(".")[0] for k, v in model.state_dict().items() if not v.equal(before[k])}
    assert changed == {STAGES[name]}


@pytest.mark.parametrize("name", STAGES)
def test_frozen_parts_are_frozen_by_construction(dvis_cfg, name):
    model = build_model(dvis_cfg(name))
    trained = model.pipeline.get_submodule(STAGES[name])
    for mode in (True, False, True):
        model.train(mode)
        assert trained.training == mode
        assert not any(m.training for frozen in model.frozen for m in frozen.modules())
    alive = {n for n, p in model.named_parameters() if p.requires_grad}
    assert alive == {f"pipeline.{STAGES[name]}.{n}" for n, _ in trained.named_parameters()}


@pytest.mark.parametrize("name", STAGES)
def test_every_trained_parameter_gets_a_gradient_and_no_graph_is_kept(dvis_cfg, name):
    cfg = dvis_cfg(name)
    model = build_model(cfg).train()
    segmented = []
    model.pipeline.segmenter.register_forward_hook(
        lambda module, args, out: segmented.append(out[0].queries)
    )
    losses = model(next(iter(build_clip_train_loader(cfg))))
    sum(losses.values()).backward()
    assert segmented[0].mask_features.grad_fn is None
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", STAGES)
def test_the_stage_before_guides_the_first_half(dvis_cfg, name):
    cfg = dvis_cfg(name)  # 8 iterations
    model = build_model(cfg).train()
    batch = next(iter(build_clip_train_loader(cfg)))
    guides = []
    criterion = model.criterion.forward
    model.criterion.forward = lambda *args, matched_by: (
        guides.append(matched_by) or criterion(*args, matched_by=matched_by)
    )
    with EventStorage(0) as storage:
        for iteration in (0, 3, 4):
            storage.iter = iteration
            model(batch)
    assert [guide is not None for guide in guides] == [True, True, False]


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_windows_do_not_change_a_video(dvis_cfg, name, scope, windows, stream):
    cfg = dvis_cfg(
        name,
        "MODEL.DVPS.FUSION.SCOPE", scope, "MODEL.REFINER.FEATURE_STORE", "full",
        "MODEL.DVPS.DEPTH.ENABLED", True,
    )  # fmt: skip
    torch.manual_seed(0)
    model = build_model(cfg).eval().double()
    whole = stream(model, windows(cfg, 0))
    assert len(whole) == 12
    assert sum(len(info) for _, info, _ in whole.values()) > 12  # not a comparison of empty maps
    for size in (1, 4):
        cut = stream(model, windows(cfg, size))
        assert list(cut) == list(whole)
        for key, (ids, info, depth) in whole.items():
            assert torch.equal(ids, cut[key][0])
            assert [s["id"] for s in info] == [s["id"] for s in cut[key][1]]
            torch.testing.assert_close(depth, cut[key][2])
    assert len(model.streams) == 0


def test_offline_waits_for_the_end_and_needs_no_gradients(dvis_cfg, windows):
    cfg = dvis_cfg("dvis_offline")
    model = build_model(cfg).eval()
    items = windows(cfg, 4)[:2]  # one video of six frames
    with torch.no_grad():
        first, last = (model([item])[0] for item in items)
    assert list(first["frames"]) == []
    # The rest is worked out when it is asked for, here outside of no_grad.
    assert [frame["frame_id"] for frame in last["frames"]] == [
        frame["frame_id"] for item in items for frame in item["frames"]
    ]
    assert all(p.grad is None for p in model.parameters())


def test_offline_memory_holds_half_precision_features_without_the_frames(dvis_cfg, windows):
    cfg = dvis_cfg("dvis_offline", "MODEL.REFINER.FEATURE_STORE", "half")
    model = build_model(cfg).eval()
    item = windows(cfg, 3)[0]
    model([item])
    ((tracks, clip),) = model.streams.open(windows(cfg, 3)[1]).state.refiner.windows
    assert tracks.mask_features.dtype == torch.float16
    assert clip.images.untyped_storage().nbytes() == clip.images.element_size()


@pytest.mark.parametrize("name", STAGES)
def test_the_evaluator_takes_the_output(dvis_cfg, tmp_path, name):
    cfg = dvis_cfg(name, "MODEL.DVPS.FUSION.SCOPE", "clip")
    model = build_model(cfg)
    evaluator = build_evaluator(cfg, "toy_street_val", str(tmp_path))
    results = inference_on_dataset(model, build_video_test_loader(cfg, "toy_street_val"), evaluator)
    assert 0 <= results["vpq"]["all"] <= 100


@pytest.mark.parametrize("name", STAGES)
def test_a_plain_image_is_a_video_of_one_frame(dvis_cfg, name):
    model = build_model(dvis_cfg(name)).eval()
    image = torch.randint(0, 256, (3, 50, 90), dtype=torch.uint8)
    (out,) = model([{"image": image, "height": 100, "width": 180}])
    ids, info = out["panoptic_seg"]
    assert ids.shape == (100, 180)
    assert {s["id"] for s in info} == set(ids.unique().tolist()) - {0}


def test_each_stage_starts_from_the_checkpoint_before(dvis_cfg, tmp_path):
    previous, folder = None, tmp_path
    for name, taken in (("minvis", ()), ("dvis_online", ("sem_seg_head",)), (
        "dvis_offline", ("sem_seg_head", "tracker")
    )):  # fmt: skip
        start = [] if previous is None else ["MODEL.WEIGHTS", previous]
        cfg = dvis_cfg(name, "SOLVER.MAX_ITER", 1, "DATASETS.TEST", "()", *start)
        trainer = Trainer(cfg)
        trainer.resume_or_load(resume=False)
        trainer.train()
        state = trainer.model.state_dict()
        if previous is not None:
            before = torch.load(previous, weights_only=True)["model"]
            for part in taken:
                keys = [key for key in before if key.startswith(part)]
                assert keys
                assert all(torch.equal(state[key], before[key]) for key in keys)
        previous = f"{folder}/{name}/model_final.pth"
    model = build_model(dvis_cfg("dvis_offline"))
    left = DetectionCheckpointer(model).load(previous)
    assert left["iteration"] == 0
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_more_objects_than_queries_and_a_clip_longer_than_the_video(dvis_cfg):
    cfg = dvis_cfg(
        "dvis_online",
        "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 2,
        "INPUT.SAMPLING_FRAME_NUM", 5, "INPUT.SAMPLING_FRAME_RANGE", 9,
    )  # fmt: skip
    losses = build_model(cfg).train()(next(iter(build_clip_train_loader(cfg))))
    assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize("name", STAGES)
def test_clips_without_any_object_and_objects_that_appear_late_train(dvis_cfg, name):
    cfg = dvis_cfg(name)
    model = build_model(cfg).train()
    batch = next(iter(build_clip_train_loader(cfg)))
    clip = make_clip(batch, model.normalizer, model.size_divisibility)
    full, other = make_targets(batch, clip, model.device)
    late = full.masks.clone()
    late[:, 0] = False  # the first frame shows nothing
    empty = replace(
        other, class_ids=other.class_ids[:0], track_ids=other.track_ids[:0], masks=other.masks[:0]
    )
    for targets in ((replace(full, masks=late), empty), (empty, empty)):
        losses = model.losses(clip, targets)
        sum(losses.values()).backward()
        assert all(torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize("name", STAGES)
def test_bfloat16_autocast_trains_and_streams(dvis_cfg, name, windows, stream):
    cfg = dvis_cfg(name, "MODEL.DVPS.DEPTH.ENABLED", True)
    model = build_model(cfg)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = model.train()(next(iter(build_clip_train_loader(cfg))))
        frames = stream(model.eval(), windows(cfg, 4)[:2])
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    assert len(frames) == 6
    assert all(depth.dtype == torch.float32 for _, _, depth in frames.values())


@pytest.mark.parametrize("scope", ["first_appearance", "first_appearance_reused", "first_frame"])
def test_the_config_chooses_the_matching(dvis_cfg, scope):
    model = build_model(dvis_cfg("dvis_online", "MODEL.TRACKER.MATCHING", scope))
    assert model.criterion.matcher.scope == scope


def test_an_unknown_matching_is_named(dvis_cfg):
    with pytest.raises(ValueError, match=r"MODEL.TRACKER.MATCHING='clip' is not one of first_app"):
        build_model(dvis_cfg("dvis_online", "MODEL.TRACKER.MATCHING", "clip"))


@pytest.mark.parametrize("scope", ["frame", "clip"])
def test_features_may_be_recomputed_from_frames_that_wait(dvis_cfg, windows, stream, scope):
    outs = {}
    for store in ("full", "recompute"):
        cfg = dvis_cfg(
            "dvis_offline",
            "MODEL.DVPS.FUSION.SCOPE", scope, "MODEL.REFINER.FEATURE_STORE", store,
            "MODEL.DVPS.DEPTH.ENABLED", True,
        )  # fmt: skip
        torch.manual_seed(0)
        model = build_model(cfg).eval()
        passes = []
        model.pipeline.segmenter.backbone.register_forward_hook(
            lambda module, args, out, passes=passes: passes.append(len(args[0]))
        )
        outs[store] = stream(model, windows(cfg, 4)[:2])  # windows of four and two frames
    again = {"frame": [4, 2], "clip": [4, 2, 4, 2]}[scope]
    assert passes == [4, 2, *again]
    assert list(outs["recompute"]) == list(outs["full"])
    numbers = {segment["id"] for _, info, _ in outs["full"].values() for segment in info}
    assert len(numbers) > 1  # not a comparison of one segment everywhere
    for key, (ids, _, depth) in outs["full"].items():
        other, _, other_depth = outs["recompute"][key]
        # Frames that waited in half precision move a pixel at the edge of a mask here and there.
        same = other == ids
        assert same.float().mean() > 0.99
        torch.testing.assert_close(other_depth[same], depth[same], rtol=0.02, atol=0.02)


def test_memory_of_recomputed_features_is_that_of_the_frames(dvis_cfg, windows):
    model = build_model(dvis_cfg("dvis_offline", "MODEL.REFINER.FEATURE_STORE", "recompute"))
    first, second = windows(dvis_cfg("dvis_offline"), 3)[:2]
    model.eval()([first])
    ((tracks, clip),) = model.streams.open(second).state.refiner.windows
    assert tracks.mask_features.untyped_storage().nbytes() == 4
    assert clip.images.dtype == torch.float16
    assert clip.images.untyped_storage().nbytes() == 2 * clip.images.numel()
