import json
from pathlib import Path

import pytest
import torch

from dvps_d2.layers.flow import local_correlation, warp
from dvps_d2.layers.flow_estimators import FlowNet2Flow
from dvps_d2.layers.flownet2 import FlowNet2

KEYS = json.loads((Path(__file__).parents[1] / "data" / "vpsnet_fusetrack_keys.json").read_text())
PREFIX = "flownet2."


def test_published_names_and_shapes():
    with torch.device("meta"):
        net = FlowNet2()
    shapes = {PREFIX + name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    assert shapes == {key: shape for key, shape in KEYS.items() if key.startswith(PREFIX)}
    assert sum(p.numel() for p in net.parameters()) == 162_518_834


def test_flow_has_the_size_of_the_frames():
    with torch.device("meta"):
        frames = torch.zeros(2, 3, 128, 192)
        assert FlowNet2()(frames, frames).shape == (2, 2, 128, 192)


def test_correlation_in_steps():
    """Every second displacement of a radius of four: 25 of 81."""
    torch.manual_seed(0)
    key, reference = torch.randn(2, 1, 3, 6, 6)
    dense = local_correlation(key, reference, 4).unflatten(1, (9, 9))
    sparse = local_correlation(key, reference, 4, step=2).unflatten(1, (5, 5))
    assert torch.equal(sparse, dense[:, ::2, ::2])


def test_the_border_goes_on_outside():
    values = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    flow = torch.zeros(1, 2, 1, 3)
    flow[:, 0] = 2
    assert warp(values, flow, outside="border").flatten().tolist() == [3, 3, 3]


def test_weights_must_be_named():
    with pytest.raises(ValueError, match=r"MODEL\.VPSNET\.FLOW\.WEIGHTS"):
        FlowNet2Flow("")
