from dataclasses import replace

import pytest
import torch

from dvps_d2.segmenter.denoising import first_attention_mask, self_attention_mask
from dvps_d2.structures import DenoisingQueries


def test_who_may_read_whom():
    # Two ordinary queries, then two groups of two; the second slot of the second group is padding.
    valid = torch.tensor([[[True, True], [True, False]]])
    expected = [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]
    assert self_attention_mask(2, valid)[0].int().tolist() == expected


def noised(mask):
    masks = torch.tensor(mask, dtype=torch.bool)[None, None, None]
    return DenoisingQueries(
        torch.zeros(1, 1, 1, dtype=torch.int64), masks, torch.ones(1, 1, 1, dtype=torch.bool)
    )


@pytest.mark.parametrize(
    ("mask", "size", "expected"),
    [
        pytest.param([[0, 0, 0, 1], [0, 0, 0, 0]], (1, 2), [0, 1], id="touched by one pixel"),
        pytest.param([[0, 0, 0, 0], [0, 0, 0, 0]], (1, 2), [1, 1], id="empty: open everywhere"),
        pytest.param([[0, 1]], (2, 4), [0, 0, 1, 1, 0, 0, 1, 1], id="coarser than the level"),
    ],
)
def test_first_attention_mask(mask, size, expected):
    assert first_attention_mask(noised(mask), size).int().flatten().tolist() == expected


@pytest.fixture
def run(make_segmenter, make_clip):
    segmenter = make_segmenter(denoising=True).double().eval()
    clip = make_clip(1, 2, dtype=torch.float64)

    @torch.no_grad()
    def forward(denoising):
        return segmenter(clip, None, denoising)[0]

    return forward


FIELDS = ("class_logits", "mask_embeds", "query_embeds", "depth_embeds", "global_depth")


def test_ordinary_queries_do_not_see_denoising_queries(run, make_denoising):
    without, first, second = (
        run(denoising) for denoising in (None, make_denoising(2), make_denoising(2, seed=7))
    )
    for name in FIELDS:
        assert torch.equal(getattr(first.queries, name), getattr(second.queries, name))
        torch.testing.assert_close(
            getattr(first.queries, name), getattr(without.queries, name), rtol=0, atol=1e-12
        )


def test_every_supervised_layer_predicts_for_all_denoising_queries(run, make_denoising):
    output = run(make_denoising(2))
    assert len(output.denoising) == len(output.auxiliary) + 1
    for queries in output.denoising:
        assert queries.class_logits.shape == (1, 2, 4, 4)  # 2 groups x 2 segments
        assert queries.mask_logits().shape == (1, 2, 4, 8, 16)
        assert not queries.has_depth


def test_groups_do_not_see_one_another(run, make_denoising):
    noised = make_denoising(2)
    class_ids = noised.class_ids.clone()
    class_ids[:, 1] = (class_ids[:, 1] + 1) % 3
    before = run(noised).denoising[-1].query_embeds
    after = run(replace(noised, class_ids=class_ids)).denoising[-1].query_embeds
    assert torch.equal(before[:, :, :2], after[:, :, :2])
    assert not torch.isclose(before[:, :, 2:], after[:, :, 2:]).all(-1).any()


def test_padding_is_invisible_and_may_hold_anything(run, make_denoising):
    padded = make_denoising(2, second_valid=False)
    class_ids, masks = padded.class_ids.clone(), padded.masks.clone()
    class_ids[:, :, 1] = -1
    masks[:, :, 1] = ~masks[:, :, 1]
    before = run(padded).denoising[-1].query_embeds
    after = run(replace(padded, class_ids=class_ids, masks=masks)).denoising[-1].query_embeds
    assert torch.equal(before[:, :, ::2], after[:, :, ::2])
    assert after.isfinite().all()


def test_the_noised_mask_is_where_the_first_layer_looks(run, make_denoising):
    noised = make_denoising(2)
    left = torch.zeros_like(noised.masks)
    left[..., :8] = True
    to_the_left = run(replace(noised, masks=left))
    to_the_right = run(replace(noised, masks=~left))
    # The raw queries know the class alone; from the first layer on they know the place too.
    raw, seen = (
        (to_the_left.denoising[i].query_embeds, to_the_right.denoising[i].query_embeds)
        for i in (0, 1)
    )
    assert torch.equal(*raw)
    assert not torch.isclose(*seen).all(-1).any()


def test_denoising_needs_its_parameters_and_one_row_per_frame(
    make_segmenter, make_clip, make_denoising
):
    with pytest.raises(ValueError, match="denoising=True"):
        make_segmenter()(make_clip(1, 2), None, make_denoising(2))
    with pytest.raises(ValueError, match=r"one row per frame \(2.*got 3"):
        make_segmenter(denoising=True)(make_clip(1, 2), None, make_denoising(3))
