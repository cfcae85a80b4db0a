import pytest
import torch
from torch import nn

from dvps_d2.layers.flow_estimators import ZeroFlow
from dvps_d2.segmenter.boxes import BoxSegmenter, FuseNeck, GatherNeck
from dvps_d2.testing import random_clip


class Pyramid(nn.Module):
    """Five levels of 4 channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 4, stride=4)

    def forward(self, images):
        x = self.conv(images)
        return {f"p{i}": nn.functional.avg_pool2d(x, 1 << (i - 2)) for i in range(2, 7)}


class NoThings:
    """A detector that never sees anything."""

    def __call__(self, pyramid, image_sizes, targets=None):
        nothing = torch.zeros(0, 4)
        found = {
            "boxes": nothing,
            "scores": nothing[:, 0],
            "class_ids": nothing[:, 0].long(),
            "mask_logits": nothing.view(0, 2, 2),
        }
        return [found] * len(image_sizes), {}


class Sum(nn.Module):
    """Semantic logits of one class: the sum of the finest level."""

    def forward(self, levels):
        assert len(levels) == 4
        return levels[0].sum(dim=1, keepdim=True)


def make(neck=None, *, recorder=None, **kwargs):
    torch.manual_seed(0)
    flow = recorder or ZeroFlow()
    return BoxSegmenter(Pyramid(), NoThings(), Sum(), neck, flow=flow, **kwargs).double()


def fuse_neck():
    torch.manual_seed(1)
    return FuseNeck(4)


def logits(frames):
    return torch.stack([frame.semantic_logits for frame in frames])


@pytest.mark.parametrize("neck", [None, GatherNeck()])
def test_frames_alone_leave_no_memory(neck):
    segmenter, clip = make(neck), random_clip(3, (64, 64))
    frames, state = segmenter(clip, None)
    assert state is None
    assert len(frames) == 3
    assert list(frames[0].pyramid) == ["p2", "p3", "p4", "p5", "p6"]
    assert frames[0].semantic_logits.shape == (1, 16, 16)


@torch.no_grad()
def test_fused_frames_do_not_depend_on_windows():
    segmenter, clip = make(fuse_neck()), random_clip(5, (64, 64))
    whole, _ = segmenter(clip, None)
    for cut in (1, 3):
        first, state = segmenter(_frames(clip, 0, cut), None)
        rest, _ = segmenter(_frames(clip, cut, 5), state)
        torch.testing.assert_close(logits([*first, *rest]), logits(whole))


@torch.no_grad()
def test_the_first_frame_refers_to_itself_and_the_others_to_the_one_before():
    asked = []

    def flow(key, reference, pairs):
        asked.extend(pairs)
        return ZeroFlow()(key, reference)

    segmenter, clip = make(fuse_neck(), recorder=flow), random_clip(3, (64, 64))
    alone, state = segmenter(_frames(clip, 0, 1), None)
    segmenter(_frames(clip, 1, 3), state)
    assert [tuple(pair)[1:] for pair in asked] == [(0, 0), (1, 0), (2, 1)]
    whole, _ = segmenter(clip, None)
    torch.testing.assert_close(logits(alone), logits(whole)[:1])


@torch.no_grad()
def test_disjoined_association_reads_the_frame_alone():
    clip = random_clip(2, (64, 64))
    joined, disjoined = (
        make(fuse_neck(), track_on_fused=fused)(clip, None)[0] for fused in (True, False)
    )
    plain = make()(clip, None)[0]
    torch.testing.assert_close(logits(joined), logits(disjoined))
    torch.testing.assert_close(disjoined[1].pyramid["p2"], plain[1].pyramid["p2"])
    assert not joined[1].pyramid["p2"].allclose(plain[1].pyramid["p2"])


def test_aligning_needs_flow():
    with pytest.raises(ValueError, match="needs a flow estimator"):
        BoxSegmenter(Pyramid(), NoThings(), Sum(), fuse_neck())
    BoxSegmenter(Pyramid(), NoThings(), Sum(), FuseNeck(4, align=False))


def test_one_video_at_a_time():
    with pytest.raises(ValueError, match="one video is segmented at a time, got 2 clips"):
        make()(random_clip(1, (64, 64), batch=2), None)


def _frames(clip, start, stop):
    return type(clip)(
        clip.images[:, start:stop],
        clip.valid_sizes,
        clip.original_sizes,
        (clip.frame_ids[0][start:stop],),
        clip.video_ids,
    )
