"""Denoising queries: what the noise does, and that the plan leads back to the truth."""

import pytest
import torch

from dvps_d2.losses import FrameTargets, make_denoising
from dvps_d2.losses.denoising import covered_cells, flip_cells, shift_masks, wrong_labels
from dvps_d2.testing import draw_targets

ROAD, CAR, TREE = 0, 1, 2
CLASSES = {"A": ROAD, "B": CAR, "C": TREE}
FRAMES = ["AABB AABB", "AACC AACC"]
NO_NOISE = {"label_noise": 0.0, "mask_flip": 0.0, "shift": 0.0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_noise_the_plan_finds_its_targets_again():
    clips = [draw_targets(FRAMES, CLASSES), draw_targets(["....", "AAAA"], {"A": CAR}).pad(2, 4)]
    frames = FrameTargets.from_clips(clips)
    queries, plan = make_denoising(clips, 3, groups=2, grid=(2, 4), **NO_NOISE)
    assert queries.class_ids.shape == (4, 2, 3)  # 2 clips x 2 frames, 2 groups, 3 segments
    assert plan.groups == 2
    frame, _, query, row = plan.pairs.flat()
    # 2 segments per frame of the first clip, 0 and 1 in the second, in each group.
    assert frame.bincount(minlength=4).tolist() == [4, 4, 0, 2]
    assert torch.equal(queries.class_ids.flatten(1)[frame, query], frames.class_ids[frame, row])
    assert torch.equal(queries.masks.flatten(1, 2)[frame, query], frames.masks[frame, row])
    assert queries.valid.flatten(1)[frame, query].all()
    assert queries.valid.sum() == len(frame)


def test_labels_are_wrong_as_often_as_asked():
    truth = torch.full((10_000,), CAR)
    noised = wrong_labels(truth, 5, 0.2, generator())
    assert (noised != truth).float().mean().item() == pytest.approx(0.2, abs=0.02)
    assert sorted(set(noised.tolist())) == [0, 1, 2, 3, 4]
    assert (wrong_labels(truth, 5, 1.0, generator()) != truth).all()
    assert torch.equal(wrong_labels(truth, 5, 0.0), truth)
    assert torch.equal(wrong_labels(truth * 0, 1, 1.0), truth * 0)  # no other class exists


def test_flips_are_proportional_to_the_area():
    masks = torch.zeros(2, 100, 100, dtype=torch.bool)
    masks[0, :50] = True  # 5000 cells
    flipped = flip_cells(masks, 0.1, generator())
    assert (flipped ^ masks)[0].sum().item() == pytest.approx(500, abs=80)
    assert torch.equal(flipped[1], masks[1])  # nothing to flip around an empty mask


def test_shifted_masks_keep_their_shape_and_do_not_wrap():
    masks = torch.zeros(200, 12, 12, dtype=torch.bool)
    masks[:, 4:8, 0:4] = True  # at the left edge
    moved = shift_masks(masks, 0.5, generator())
    rows, columns = moved.any(2), moved.any(1)
    # By up to half of 4 cells: rows 2..9 and columns 0..5 can be reached, all 4 rows survive.
    assert (rows.sum(1) == 4).all()
    assert not rows[:, :2].any()
    assert not rows[:, 10:].any()
    assert rows[:, 2].any()
    assert rows[:, 9].any()
    assert not columns[:, 6:].any()
    assert columns.sum(1).unique().tolist() == [2, 3, 4]
    assert torch.equal(shift_masks(masks, 0.0), masks)


def test_thin_segments_keep_the_cells_they_cover_most():
    soft = torch.tensor([[[0.6, 0.4]], [[0.1, 0.2]], [[0.0, 0.0]]])
    expected = [[[True, False]], [[False, True]], [[False, False]]]
    assert covered_cells(soft).tolist() == expected


def test_groups_are_noised_independently_and_repeatably():
    clips = [draw_targets(FRAMES, CLASSES)]

    def noised(seed):
        return make_denoising(clips, 3, 4, (2, 4), mask_flip=0.5, generator=generator(seed))[0]

    assert torch.equal(noised(0).masks, noised(0).masks)
    assert not torch.equal(noised(0).masks, noised(1).masks)
    masks = noised(0).masks
    assert any(not torch.equal(masks[:, 0], masks[:, g]) for g in (1, 2, 3))


def test_tiny_segments_get_no_query():
    clips = [draw_targets(["AAAB AAAA"], CLASSES)]
    queries, plan = make_denoising(clips, 3, 1, (1, 2))  # B covers a quarter of a cell
    assert queries.valid.tolist() == [[[True, False, False]]]
    assert plan.pairs.flat()[3].tolist() == [0]


def test_without_any_segment_one_padding_slot_remains():
    queries, plan = make_denoising([draw_targets(["...."], {})], 3, 2, (1, 4))
    assert queries.class_ids.shape == (1, 2, 1)
    assert not queries.valid.any()
    assert not plan.pairs.valid.any()


def test_stacked_targets_are_taken_as_they_are():
    clips = [draw_targets(FRAMES, CLASSES)]
    stacked = FrameTargets.from_clips(clips)
    one, _ = make_denoising(clips, 3, 2, (2, 4), generator=generator())
    two, _ = make_denoising(stacked, 3, 2, (2, 4), generator=generator())
    assert torch.equal(one.masks, two.masks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups must be >= 1, got 0"),
        ({"label_noise": 1.5}, "label_noise must be in 0..1, got 1.5"),
        ({"mask_flip": -0.1}, "mask_flip must be in 0..1"),
    ],
)
def test_refuses_impossible_noise(options, message):
    arguments = {"groups": 1} | options
    with pytest.raises(ValueError, match=message):
        make_denoising([draw_targets(FRAMES, CLASSES)], 3, grid=(2, 4), **arguments)
