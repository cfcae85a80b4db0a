"""Streams of the toy street, and DVIS on it, shrunk until its three stages train in seconds."""

import pytest
import torch

SHRUNK = [
    "MODEL.DEVICE", "cpu",
    "DATASETS.TRAIN", "('toy_street_train',)",
    "DATASETS.TEST", "('toy_street_val',)",
    "MODEL.COMPACT_RESNET.WIDTH", 16,
    "MODEL.COMPACT_RESNET.BLOCKS", [1, 1, 1, 1],
    "MODEL.SEM_SEG_HEAD.CONVS_DIM", 32,
    "MODEL.SEM_SEG_HEAD.MASK_DIM", 32,
    "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS", 1,
    "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_FEEDFORWARD", 32,
    "MODEL.MASK_FORMER.HIDDEN_DIM", 32,
    "MODEL.MASK_FORMER.DIM_FEEDFORWARD", 32,
    "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 20,
    "MODEL.MASK_FORMER.DENOISING.GROUPS", 0,
    "MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD", 0.0,
    "MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD", 0.0,
    "MODEL.TRACKER.DECODER_LAYERS", 2,
    "MODEL.REFINER.DECODER_LAYERS", 2,
    "INPUT.SAMPLING_FRAME_NUM", 3,
    "SOLVER.IMS_PER_BATCH", 2,
    "SOLVER.MAX_ITER", 8,
    "SOLVER.AMP.ENABLED", False,
    "DATALOADER.NUM_WORKERS", 0,
    "SEED", 3,
]  # fmt: skip


@pytest.fixture
def dvis_cfg(repo_cfg, tmp_path):
    """Make a shrunk street config: ``dvis_cfg("dvis_online", *overrides)``."""

    def make(name, *overrides):
        folder = ["OUTPUT_DIR", str(tmp_path / name)]
        return repo_cfg(f"street/{name}_compact.yaml", *SHRUNK, *folder, *overrides)

    return make


@pytest.fixture
def windows():
    """All windows of the validation videos: ``windows(cfg, frames per window, 0 = whole)``."""
    from dvps_d2.d2 import build_video_test_loader

    def make(cfg, size):
        cfg.MODEL.MASK_FORMER.TEST.WINDOW_SIZE = size
        return [item for batch in build_video_test_loader(cfg, "toy_street_val") for item in batch]

    return make


@pytest.fixture
def stream():
    """What comes out: ``stream(model, items)`` is (video, frame) -> (ids, segments, depth)."""

    def run(model, items):
        out = {}
        for item in items:
            with torch.no_grad():
                (result,) = model([item])
            for frame in result["frames"]:
                ids, info = frame["panoptic_seg"]
                out[result["video_id"], frame["frame_id"]] = (ids, info, frame.get("depth"))
        return out

    return run
