"""Fixtures shared by the tests: a small street on disk, and configs that train in seconds."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VIDEOS = {"train": (4, 3), "val": (2, 6)}  # split -> videos, frames


@pytest.fixture(scope="session")
def street_root(tmp_path_factory):
    """A Cityscapes-DVPS tree of street videos, 64 x 128."""
    from dvps_d2.street import StreetConfig
    from dvps_d2.street.layouts import LAYOUTS, StreetTree

    tree = StreetTree(tmp_path_factory.mktemp("street"), LAYOUTS["cityscapes_dvps"])
    for split, (videos, frames) in VIDEOS.items():
        config = StreetConfig(height=64, width=128, frames=frames)
        for index in range(videos):
            tree.write_video(config, split, index, seed=0)
    return tree.root


@pytest.fixture(scope="session")
def toy_street(street_root):
    """The same, registered with Detectron2 as toy_street_train and toy_street_val."""
    from dvps_d2.d2 import register_video_dataset

    for split in VIDEOS:
        register_video_dataset(f"toy_street_{split}", "cityscapes_dvps", street_root, split)
    return street_root


# A compact model shrunk until it trains in seconds; values are config overrides.
TINY = [
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
    "MODEL.MASK_FORMER.DENOISING.GROUPS", 1,
    "MODEL.MASK_FORMER.TEST.OBJECT_MASK_THRESHOLD", 0.0,
    "MODEL.MASK_FORMER.TEST.OVERLAP_THRESHOLD", 0.0,
    "SOLVER.IMS_PER_BATCH", 2,
    "SOLVER.MAX_ITER", 4,
    "SOLVER.WARMUP_ITERS", 1,
    "SOLVER.EMA_DECAY", 0.5,
    "SOLVER.AMP.ENABLED", False,
    "DATALOADER.NUM_WORKERS", 0,
    "SEED", 3,
]  # fmt: skip


def make_config(name: str, *overrides: object):
    """A config of the repository with overrides."""
    from detectron2.config import get_cfg
    from detectron2.projects.deeplab import add_deeplab_config

    from dvps_d2.d2 import add_dvps_config

    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    cfg.merge_from_file(str(ROOT / "configs" / "experiments" / name))
    cfg.merge_from_list(list(overrides))
    return cfg


@pytest.fixture
def repo_cfg(toy_street):
    """Make a config of the repository: ``repo_cfg(name, *overrides)``."""
    return make_config


@pytest.fixture
def tiny_cfg(toy_street, tmp_path):
    """Make the tiny street config; overrides may follow."""

    def make(*overrides: object):
        folder = ["OUTPUT_DIR", str(tmp_path / "run")]
        return make_config("street/mindvps_compact.yaml", *TINY, *folder, *overrides)

    return make
