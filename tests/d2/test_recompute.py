"""Recomputed activations: the same numbers from less memory."""

import copy

import pytest
import torch
from detectron2.modeling import build_model
from torch.autograd.graph import saved_tensors_hooks

from dvps_d2.d2 import Trainer, build_clip_train_loader, recompute_activations
from dvps_d2.d2.recompute import PARTS


@pytest.fixture
def model_and_batch(tiny_cfg):
    cfg = tiny_cfg("MODEL.COMPACT_RESNET.BLOCKS", [2, 1, 1, 1])
    torch.manual_seed(0)
    return build_model(cfg).double(), next(iter(build_clip_train_loader(cfg)))


def gradients(model, batch):
    """Gradients, losses, and the bytes that the graph keeps."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    torch.manual_seed(1)
    model.zero_grad()
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = model(batch)
    size = sum(kept.values())
    sum(losses.values()).backward()
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return found, {name: value.item() for name, value in losses.items()}, size


def test_gradients_and_statistics_are_the_same_and_memory_is_less(model_and_batch):
    model, batch = model_and_batch
    saving = copy.deepcopy(model)
    assert recompute_activations(saving, ["backbone", "encoder", "decoder"]) > 8
    assert saving.state_dict().keys() == model.state_dict().keys()
    expected, losses, size = gradients(model, batch)
    found, same, smaller = gradients(saving, batch)
    assert same == pytest.approx(losses, rel=1e-9)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-6, atol=1e-6), name
    # Batch norms counted the batch once.
    for (name, ours), theirs in zip(
        model.state_dict().items(), saving.state_dict().values(), strict=True
    ):
        assert torch.allclose(ours, theirs), name
    assert smaller < 0.8 * size


def test_inference_and_copies_are_untouched(model_and_batch):
    model, _ = model_and_batch
    saving = copy.deepcopy(model)
    recompute_activations(saving, ["backbone"])
    twin = copy.deepcopy(saving).eval()
    with torch.no_grad():
        next(twin.pipeline.segmenter.backbone.parameters()).mul_(2.0)
    images = torch.rand(1, 3, 32, 64, dtype=torch.float64)
    outputs = [m.eval().pipeline.segmenter.backbone(images)["res5"] for m in (model, saving, twin)]
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])  # a copy computes with its own weights


def test_training_with_the_key(tiny_cfg):
    cfg = tiny_cfg("SOLVER.RECOMPUTE", ["backbone", "decoder"], "SOLVER.MAX_ITER", 2)
    cfg.DATASETS.TEST = ()
    trainer = Trainer(cfg)
    trainer.train()
    average = trainer._trainer.average.module.pipeline.segmenter.backbone
    assert "RecomputingBasicBlock" in {type(module).__name__ for module in average.modules()}
    assert trainer.storage.latest()["total_loss"][0] > 0


def test_names_are_checked(model_and_batch):
    model, _ = model_and_batch
    with pytest.raises(ValueError, match=f"'neck'; there are {', '.join(PARTS)}"):
        recompute_activations(model, ["neck"])
    with pytest.raises(ValueError, match="'refiner', but MinDVPS .* backbone, encoder, decoder"):
        recompute_activations(model, ["refiner"])
