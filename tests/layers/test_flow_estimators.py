import os

import numpy as np
import pytest
import torch

from dvps_d2.layers.flow import FramePair, warp
from dvps_d2.layers.flow_estimators import (
    CachedFlow,
    DisFlow,
    FileFlow,
    RaftFlow,
    RgbFlow,
    ZeroFlow,
    _write,
)


def texture(seed=0, size=(48, 64)):
    """(1, 3, H, W) smooth grey noise in 0..255."""
    noise = torch.rand(1, 1, size[0] // 4, size[1] // 4, generator=torch.manual_seed(seed))
    smooth = torch.nn.functional.interpolate(noise, size=size, mode="bicubic").clamp(0, 1)
    return (255 * smooth).expand(1, 3, -1, -1).contiguous()


def test_dis_finds_a_shift():
    key = texture()
    reference = torch.roll(key, (2, 3), dims=(2, 3))
    flow = DisFlow()(key, reference)
    assert flow.shape == (1, 2, 48, 64)
    assert flow[0, 0, 12:36, 12:52].median().item() == pytest.approx(3, abs=0.3)
    assert flow[0, 1, 12:36, 12:52].median().item() == pytest.approx(2, abs=0.3)
    inside = (warp(reference, flow) - key)[..., 12:36, 12:52].abs().mean()
    assert inside < 0.2 * (reference - key)[..., 12:36, 12:52].abs().mean()


def test_unknown_presets_are_named():
    with pytest.raises(ValueError, match="ultrafast, fast, medium, got 'slow'"):
        DisFlow("slow")


def test_raft_takes_any_size(tmp_path):
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    torch.save(raft_small().state_dict(), tmp_path / "raft.pth")
    raft = RaftFlow(large=False, weights=str(tmp_path / "raft.pth"), iterations=1)
    flow = raft(texture(size=(20, 44)), texture(1, size=(20, 44)))
    assert flow.shape == (1, 2, 20, 44)
    assert torch.isfinite(flow).all()
    assert not flow.requires_grad


def test_files_are_found_by_name_and_padding_stays(tmp_path):
    (tmp_path / "v").mkdir()
    np.save(tmp_path / "v" / "5_4.npy", np.full((2, 3, 2), (1.5, -2), np.float32))
    key = torch.zeros(2, 3, 4, 4)
    flow = FileFlow(tmp_path)(key, key, [FramePair("v", 5, 4), FramePair("v", 0, 0)])
    assert flow[0, 0].tolist() == [[1.5, 1.5, 1.5, 0]] * 2 + [[0] * 4] * 2
    assert flow[0, 1, 0, 0] == -2
    assert (flow[1] == 0).all()


def test_missing_or_wrong_files_are_named(tmp_path):
    key, pair = torch.zeros(1, 3, 2, 2), [FramePair("v", 5, 4)]
    with pytest.raises(FileNotFoundError, match=r"v/5_4\.npy does not exist: no flow from frame 5"):
        FileFlow(tmp_path)(key, key, pair)
    with pytest.raises(ValueError, match="names of the frame pairs"):
        FileFlow(tmp_path)(key, key)
    (tmp_path / "v").mkdir()
    np.save(tmp_path / "v" / "5_4.npy", np.zeros((4, 4, 2)))
    with pytest.raises(ValueError, match="is 4 x 4, but frames are"):
        FileFlow(tmp_path)(key, key, pair)


def test_a_cache_asks_once_per_pair(tmp_path):
    asked = []

    def estimator(key, reference, pairs=None):
        asked.append(pairs)
        return torch.full((1, 2, *key.shape[-2:]), float(len(asked)))

    cached = CachedFlow(estimator, tmp_path / "flow")
    a, b = texture(0), texture(1)
    frames = torch.cat([a, b]), torch.cat([b, a])
    first = cached(*frames, [FramePair("v", 1, 0), FramePair("v", 2, 1)])
    assert first[:, 0, 0, 0].tolist() == [1, 2]
    assert torch.equal(cached(*frames), first)
    assert len(asked) == 2
    assert cached(a, a).mean() == 3
    assert not list((tmp_path / "flow").glob("*.partial"))


def test_processes_do_not_write_into_one_partial_file(tmp_path, monkeypatch):
    """Forked processes may well have their flow at the same address."""
    flow, partial = torch.zeros(2, 4, 4), set()
    monkeypatch.setattr(np, "save", lambda file, array: partial.add(file.name))
    for process in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        _write(tmp_path / "pair.npy", flow)
    assert len(partial) == 2


def test_estimators_see_colours():
    seen = []

    def estimator(key, reference, pairs=None):
        seen.append(key)
        return ZeroFlow()(key, reference)

    flow = RgbFlow(estimator, mean=[10, 20, 30], std=[2, 2, 2], bgr=True)
    image = torch.tensor([0.0, 1.0, 200.0]).view(1, 3, 1, 1)
    assert flow(image, image).shape == (1, 2, 1, 1)
    assert seen[0].flatten().tolist() == [255, 22, 10]
