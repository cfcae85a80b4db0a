import pytest
import torch
import torch.nn.functional as F

from dvps_d2.layers.roi import PlacedMask, place_mask
from dvps_d2.panoptic.box_fusion import (
    BoxFusion,
    BoxFusionSettings,
    claim_by_logits,
    drop_small_stuff,
    prune_masks,
    settle_instances,
)
from dvps_d2.panoptic.box_logits import panoptic_logits
from dvps_d2.structures import TrackedSegments
from dvps_d2.testing import clip_of

ROAD, CAR, SKY, BUS = range(4)
STUFF = (ROAD, SKY)
TWO = ["####......", "###......."]


def rows(*drawing):
    return torch.tensor([[int(c) if c != "." else -1 for c in row] for row in drawing])


def masks(*drawings):
    drawn = (torch.tensor([[c == "#" for c in drawing]]) for drawing in drawings)
    return [PlacedMask(slice(0, 1), slice(0, 10), mask) for mask in drawn]


def classes_seen(drawing):
    """(K=4, 1, W) logits whose best class is drawn."""
    return F.one_hot(rows(drawing), 4).permute(2, 0, 1).float()


@pytest.mark.parametrize(
    ("drawn", "scores", "classes", "expected"),
    [
        pytest.param(["####......"], [1.0], [CAR], [True], id="alone"),
        pytest.param([".........."], [1.0], [CAR], [False], id="empty"),
        pytest.param(TWO, [0.9, 0.8], [CAR, CAR], [True, False], id="taken"),
        pytest.param(TWO, [0.8, 0.9], [CAR, CAR], [False, True], id="order"),
        pytest.param(TWO, [0.9, 0.8], [CAR, BUS], [True, True], id="class"),
        pytest.param(
            ["###.......", "##########"], [0.9, 0.8], [CAR, CAR], [True, True], id="exactly 0.3"
        ),
        pytest.param(
            ["####......", "##########", "....######"], [0.9, 0.8, 0.7], [CAR, CAR, CAR],
            [True, False, True], id="the dropped take nothing",
        ),
    ],
)  # fmt: skip
def test_masks_are_pruned_within_their_class(drawn, scores, classes, expected):
    kept = prune_masks(masks(*drawn), torch.tensor(scores), torch.tensor(classes), 0.3, (1, 10))
    assert kept.tolist() == expected


def test_masks_are_compared_where_they_lie():
    drawn = torch.ones(1, 4, dtype=torch.bool)
    placed = [PlacedMask(slice(0, 1), slice(x, x + 4), drawn) for x in (0, 3, 1)]
    kept = prune_masks(placed, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([CAR] * 3), 0.3, (1, 8))
    assert kept.tolist() == [True, True, False]


@pytest.mark.parametrize("shift", [0.0, -3.0], ids=["mixed signs", "stuff below 0"])
@pytest.mark.parametrize("side", [3.0, 8.0, 60.0], ids=["small", "overlapping", "over the edges"])
def test_claiming_is_the_argmax_of_the_panoptic_logits(shift, side):
    torch.manual_seed(0)
    semantic, logits = torch.randn(4, 12, 20) + shift, torch.randn(6, 6, 6)
    corner = torch.rand(6, 2) * 10 + torch.tensor([1.0, 0.0])
    corner[4] = torch.tensor([-8.0, -9.0])  # over the corner, or outside
    boxes = torch.cat([corner, corner + side + torch.rand(6, 2)], 1)
    class_ids = torch.tensor([CAR, BUS, CAR, CAR, BUS, CAR])
    dense = panoptic_logits(semantic, logits, boxes, class_ids, STUFF, scale=1.0)
    placed = [place_mask(m, b, (12, 20), 1.0) for m, b in zip(logits, boxes.tolist(), strict=True)]
    owner = claim_by_logits(semantic, boxes, placed, class_ids, STUFF)
    assert torch.equal(owner, dense.argmax(dim=0))
    assert len(owner.unique()) > 3


@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        pytest.param("1111", "2222", id="own class"),
        pytest.param("0022", "0000", id="half of it road: the first of the most frequent"),
        pytest.param("0001", "0000", id="mostly road"),
        pytest.param("0333", "2222", id="mostly another thing"),
        pytest.param("0112", "2222", id="most frequent is its own"),
        pytest.param("0123", "2222", id="most frequent, but not half"),
    ],
)
def test_the_majority_rule(semantic, expected):
    owner = rows("2222")  # two stuff classes, then instance 0
    settled = settle_instances(owner, classes_seen(semantic), torch.tensor([CAR]), STUFF)
    assert torch.equal(settled, rows(expected))


def test_an_instance_without_pixels_is_passed_over():
    owner = rows("0013")
    settled = settle_instances(owner, classes_seen("0023"), torch.tensor([CAR, BUS]), STUFF)
    assert torch.equal(settled, owner)


def test_small_stuff_becomes_void_and_small_things_stay():
    assert torch.equal(drop_small_stuff(rows("00012"), 2, 2), rows("000.2"))
    assert torch.equal(drop_small_stuff(rows("....."), 2, 2), rows("....."))


def car_frame(left, track, *, scores=(0.9,), width=8):
    """16 x 32 pixels: sky above, road below, a car in columns left..left + width."""
    semantic = torch.zeros(4, 4, 8)
    semantic[SKY, :2] = 5
    semantic[ROAD, 2:] = 5
    columns = slice(left // 4, (left + width) // 4)
    semantic[:, 1:3, columns] = 0
    semantic[CAR, 1:3, columns] = 5
    return TrackedSegments(
        boxes=torch.tensor([[left, 4.0, left + width, 12]]).expand(len(scores), 4),
        scores=torch.tensor(scores),
        class_ids=torch.tensor([CAR] * len(scores)),
        mask_logits=torch.full((len(scores), 4, 4), 5.0),
        semantic_logits=semantic,
        pyramid={},
        track_ids=torch.tensor([track] * len(scores)),
    )


def fuse(frames, state=None, **kwargs):
    settings = BoxFusionSettings(frozenset({CAR, BUS}), STUFF, stuff_area=4)
    return BoxFusion(settings)(frames, clip_of(len(frames), 16, 32, **kwargs), state)


def test_a_car_drives_through_the_picture_with_one_id():
    tube, _ = fuse([car_frame(0, track=7), car_frame(16, track=7)])
    (number,) = [n for n, segment in tube.segments.items() if segment.is_thing]
    assert tube.segments[number].class_id == CAR
    assert tube.segments[number].score == pytest.approx(0.9)
    for t, left in enumerate((0, 16)):
        assert (tube.ids[t, 4:12, left : left + 8] == number).all()
        assert (tube.ids[t] == number).sum() == 64
    assert {segment.class_id for segment in tube.segments.values()} == {ROAD, CAR, SKY}


def test_a_box_is_drawn_up_to_its_far_edge_and_no_further():
    """Eight pixels are drawn of [8, 16], and the ninth, which looks like a car too, is not."""
    frame = car_frame(8, track=1)
    frame.semantic_logits[:, 1:3, 4], frame.semantic_logits[CAR, 1:3, 4] = 0, 5
    tube, _ = fuse([frame])
    (number,) = [n for n, segment in tube.segments.items() if segment.is_thing]
    assert (tube.ids[0, 4:12, 8:16] == number).all()
    assert (tube.ids == number).sum() == 64


def test_windows_do_not_change_ids():
    frames = [car_frame(0, 7), car_frame(16, 3), car_frame(8, 7)]
    whole, _ = fuse(frames)
    first, state = fuse(frames[:1])
    rest, _ = fuse(frames[1:], state)
    assert torch.equal(torch.cat([first.ids, rest.ids]), whole.ids)


def test_a_frame_without_detections_is_stuff():
    empty = car_frame(0, 0, scores=())
    tube, _ = fuse([empty])
    assert not any(segment.is_thing for segment in tube.segments.values())


def test_a_double_detection_is_drawn_once():
    tube, _ = fuse([car_frame(8, 1, scores=(0.7, 0.9))])
    things = [segment for segment in tube.segments.values() if segment.is_thing]
    assert [segment.score for segment in things] == [pytest.approx(0.9)]


def test_the_output_has_the_original_size():
    tube, _ = fuse([car_frame(8, 1)], original_sizes=[(32, 64)])
    (number,) = [n for n, segment in tube.segments.items() if segment.is_thing]
    assert tube.ids.shape == (1, 32, 64)
    assert (tube.ids[0, 8:24, 16:32] == number).all()
