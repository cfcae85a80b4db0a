import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, build_model

from dvps_d2.d2 import build_clip_train_loader

TOY = [
    "MODEL.DEVICE", "cpu",
    "MODEL.SWIN.EMBED_DIM", 12, "MODEL.SWIN.DEPTHS", [1, 1, 2, 1],
    "MODEL.SWIN.NUM_HEADS", [1, 2, 3, 4], "MODEL.SWIN.WINDOW_SIZE", 4,
]  # fmt: skip


def backbone_of(cfg):
    backbone = BACKBONE_REGISTRY.get("D2SwinTransformer")
    return backbone(cfg, ShapeSpec(channels=3))


def test_outputs_have_the_names_channels_and_strides_that_are_announced(repo_cfg):
    cfg = repo_cfg("vipseg/minvis_swin_L.yaml", *TOY)
    backbone = backbone_of(cfg)
    assert backbone.size_divisibility == 32
    maps = backbone(torch.zeros(1, 3, 64, 96))
    shapes = backbone.output_shape()
    assert list(maps) == list(shapes) == ["res2", "res3", "res4", "res5"]
    for name, shape in shapes.items():
        assert maps[name].shape == (1, shape.channels, 64 // shape.stride, 96 // shape.stride)


def test_unknown_outputs_are_named(repo_cfg):
    cfg = repo_cfg("vipseg/minvis_swin_L.yaml", *TOY, "MODEL.SWIN.OUT_FEATURES", ["stem"])
    with pytest.raises(ValueError, match="names stem; there are res2, res3, res4, res5"):
        backbone_of(cfg)


@pytest.mark.parametrize("name", ["minvis", "dvis_online", "dvis_offline"])
@pytest.mark.parametrize("backbone", ["R50", "swin_L"])
def test_the_published_configs_build_and_train(repo_cfg, name, backbone):
    small = ["MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64]
    cfg = repo_cfg(
        f"vipseg/{name}_{backbone}.yaml", *TOY, *(small if backbone == "R50" else ()),
        "DATASETS.TRAIN", "('toy_street_train',)", "DATASETS.TEST", "('toy_street_val',)",
        "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 19, "MODEL.SEM_SEG_HEAD.CONVS_DIM", 32,
        "MODEL.SEM_SEG_HEAD.MASK_DIM", 32, "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS", 1,
        "MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_FEEDFORWARD", 32,
        "MODEL.MASK_FORMER.HIDDEN_DIM", 32, "MODEL.MASK_FORMER.DIM_FEEDFORWARD", 32,
        "MODEL.MASK_FORMER.NUM_OBJECT_QUERIES", 12, "MODEL.MASK_FORMER.TRAIN_NUM_POINTS", 64,
        "INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.CROP.SIZE", [64, 64], "DATALOADER.NUM_WORKERS", 0,
        "INPUT.SAMPLING_FRAME_NUM", 2, "SOLVER.IMS_PER_BATCH", 1,
    )  # fmt: skip
    model = build_model(cfg).train()
    losses = model(next(iter(build_clip_train_loader(cfg))))
    layers = cfg.MODEL.MASK_FORMER.DEC_LAYERS if name == "minvis" else 6
    assert len(losses) == 3 * layers
    total = sum(losses.values())
    total.backward()
    assert torch.isfinite(total)
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
