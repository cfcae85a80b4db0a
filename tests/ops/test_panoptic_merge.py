"""The merge of masks: drawn cases counted by hand, both paths alike, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F

from dvps_d2.ops import panoptic_merge, reference, use_path
from dvps_d2.ops.path import extension

compiled_only = pytest.mark.skipif(
    not extension.has_kernel("cpu"), reason="built without the compiled ops (DVPS_BUILD_OPS=1)"
)


@pytest.fixture(params=["reference", pytest.param("compiled", marks=compiled_only)])
def path(request):
    with use_path(request.param):
        yield request.param


def drawn(*masks: str, sure: float = 20.0):
    """Masks as rows of "#" (logit +sure) and "." (-sure), rows apart by spaces: (N, 1, H, W)."""
    rows = [[[c == "#" for c in row] for row in mask.split()] for mask in masks]
    return (torch.tensor(rows).float() * 2 - 1).mul(sure).unsqueeze(1)


def merge_at_own_size(logits, scores):
    size = tuple(logits.shape[-2:])
    return panoptic_merge(logits, torch.tensor(scores), size, size, size)


def blobs(count, frames, height, width, bias=-4.0, coarse=8, seed=0):
    """Smooth masks: a few logits per frame, enlarged."""
    generator = torch.Generator().manual_seed(seed)
    low = torch.randn(
        count, frames, max(2, height // coarse), max(2, width // coarse), generator=generator
    )
    logits = 6 * F.interpolate(low, size=(height, width), mode="bicubic") + bias
    return logits, 0.5 + 0.5 * torch.rand(count, generator=generator)


def test_areas_counted_by_hand(path):
    masks = drawn("##.. ##..", ".### ....")
    owner, areas = merge_at_own_size(masks, [0.9, 0.8])
    # The surer mask owns the pixel that both cover; where neither is, nobody is drawn.
    assert owner.tolist() == [[[0, 0, 1, 1], [0, 0, -1, -1]]]
    won, covered, kept = areas.T.tolist()
    assert covered == [4, 3]
    assert kept == [4, 2]
    assert won == [6, 2]  # the two uncovered pixels have equal masks: the larger score wins them
    assert owner.dtype == torch.int16
    assert areas.dtype == torch.int64


def test_score_weighs_the_probability(path):
    # 0.9 * sigmoid(1) = 0.658 against 0.7 * sigmoid(4) = 0.687
    owner, _ = merge_at_own_size(torch.tensor([1.0, 4.0]).view(2, 1, 1, 1), [0.9, 0.7])
    assert owner.tolist() == [[[1]]]


def test_winner_below_one_half_draws_nothing(path):
    # 0.9 * sigmoid(-0.1) = 0.43 beats 0.2 * sigmoid(3) = 0.19, but is not inside its own mask.
    owner, areas = merge_at_own_size(torch.tensor([-0.1, 3.0]).view(2, 1, 1, 1), [0.9, 0.2])
    assert owner.tolist() == [[[-1]]]
    assert areas.tolist() == [[1, 0, 0], [0, 1, 0]]


def test_first_of_equal_masks_owns_the_pixels(path):
    owner, areas = merge_at_own_size(drawn("#.", "#.", "##"), [0.5, 0.5, 0.25])
    assert owner.tolist() == [[[0, 2]]]
    assert areas.tolist() == [[1, 1, 1], [0, 1, 0], [1, 2, 1]]


def test_areas_are_those_of_the_whole_tube(path):
    tube = torch.cat([drawn("##.."), drawn("####"), drawn("....")], dim=1)
    owner, areas = merge_at_own_size(tube, [1.0])
    assert owner.tolist() == [[[0, 0, -1, -1]], [[0, 0, 0, 0]], [[-1, -1, -1, -1]]]
    assert areas.tolist() == [[12, 6, 6]]


def test_padding_is_cut_and_logits_are_stretched(path):
    # Two cells of a 1 x 2 grid over 4 x 8 pixels, of which 2 x 6 are image: the edge, in the middle
    # of the padded frame, is after four of six columns.
    logits = torch.tensor([8.0, -8.0]).view(1, 1, 1, 2)
    owner, areas = panoptic_merge(logits, torch.ones(1), (4, 8), (2, 6), (2, 6))
    assert owner.tolist() == [[[0, 0, 0, 0, -1, -1]] * 2]
    assert areas.tolist() == [[12, 8, 8]]


def test_last_resize_averages_probabilities_not_logits(path):
    # Halfway between logits 1 and -3 the logit is -1; the mean probability is
    # (0.731 + 0.047) / 2 = 0.389. Between 30 and -1 it is (1 + 0.269) / 2 = 0.634: inside, as is
    # the mean logit; between 1 and -0.9, (0.731 + 0.289) / 2 = 0.51.
    grid = torch.tensor([[1.0, -3.0], [30.0, -1.0], [1.0, -0.9]]).view(3, 1, 1, 2)
    _, areas = panoptic_merge(grid, torch.ones(3), (1, 2), (1, 2), (1, 1))
    assert areas[:, 1].tolist() == [0, 1, 1]
    far = torch.tensor([2.0, -9.0]).view(1, 1, 1, 2)  # mean logit -3.5, mean probability 0.44
    near = torch.tensor([-0.5, 30.0]).view(1, 1, 1, 2)  # mean probability 0.69
    owner, _ = panoptic_merge(torch.cat([far, near]), torch.ones(2), (1, 2), (1, 2), (1, 1))
    assert owner.item() == 1


def test_no_masks_and_no_frames(path):
    owner, areas = panoptic_merge(torch.zeros(0, 2, 3, 4), torch.zeros(0), (6, 8), (5, 8), (7, 9))
    assert owner.shape == (2, 7, 9)
    assert (owner == -1).all()
    assert areas.shape == (0, 3)
    owner, areas = panoptic_merge(torch.zeros(3, 0, 3, 4), torch.ones(3), (6, 8), (5, 8), (7, 9))
    assert owner.shape == (0, 7, 9)
    assert areas.tolist() == [[0, 0, 0]] * 3


SIZES = [
    # logits, padded, valid, output
    pytest.param((46, 80), (184, 320), (180, 320), (180, 320), id="the output is the image"),
    pytest.param((30, 53), (120, 212), (119, 210), (183, 321), id="enlarged once more"),
    pytest.param((30, 53), (120, 212), (119, 210), (77, 133), id="made smaller"),
    pytest.param((50, 60), (200, 240), (190, 240), (19, 13), id="made much smaller"),
    pytest.param((50, 60), (20, 31), (17, 31), (17, 31), id="logits finer than the frame"),
    pytest.param((3, 4), (96, 128), (90, 127), (90, 127), id="few cells, many pixels"),
    pytest.param((1, 1), (32, 32), (7, 5), (7, 5), id="a single cell"),
    pytest.param((9, 200), (9, 200), (9, 200), (9, 200), id="nothing is resized"),
    pytest.param((8, 8), (32, 32), (1, 31), (1, 31), id="one row"),
]


def compare(logits, scores, padded, valid, output, allowed=0):
    """The compiled op beside the reference: owners and areas of all but ``allowed`` pixels."""
    with use_path("compiled"):
        owner, areas = panoptic_merge(logits, scores, padded, valid, output)
    expected_owner, expected_areas = reference.panoptic_merge(logits, scores, padded, valid, output)
    assert (owner != expected_owner).sum().item() <= allowed
    assert (areas - expected_areas).abs().max().item() <= allowed
    assert areas[:, 0].sum() == owner.numel()


@compiled_only
@pytest.mark.parametrize("capability", ["avx512", "avx2", "default"])
@pytest.mark.parametrize(("grid", "padded", "valid", "output"), SIZES)
def test_compiled_equals_the_reference(monkeypatch, capability, grid, padded, valid, output):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", capability)
    for bias in (0.0, -8.0, -120.0):  # crowded, mostly void, probabilities of zero
        logits, scores = blobs(9, 2, *grid, bias=bias)
        compare(logits, scores, padded, valid, output, allowed=1)


@compiled_only
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("output", [(90, 150), (140, 251)])
def test_compiled_equals_the_reference_in_every_dtype(dtype, output):
    logits, scores = blobs(9, 2, 24, 40)
    compare(logits.to(dtype), scores.to(dtype), (96, 160), (90, 150), output, allowed=1)


@compiled_only
def test_noise_that_leaves_no_mask_out_early():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(40, 1, 24, 40, generator=generator)
    compare(logits, torch.linspace(0.8, 1, 40), (96, 160), (90, 150), (90, 150), allowed=1)


@compiled_only
def test_scores_may_be_equal_zero_or_negative():
    logits, _ = blobs(4, 1, 12, 20)
    compare(logits, torch.tensor([0.5, 0.0, -1.0, 0.5]), (48, 80), (48, 80), (48, 80))
    compare(logits, torch.tensor([-0.5, -0.2, -1.0, -0.5]), (48, 80), (48, 80), (48, 80))


@compiled_only
def test_a_logit_that_is_not_a_number_breaks_no_other_pixel():
    logits, scores = blobs(4, 1, 24, 40)
    sizes = ((96, 160),) * 3
    whole, _ = panoptic_merge(logits, scores, *sizes)
    logits[2, 0, 3, 3] = float("nan")
    with use_path("compiled"):
        owner, areas = panoptic_merge(logits, scores, *sizes)
    assert areas[:, 0].sum() == owner.numel()
    assert torch.equal(owner[:, 20:], whole[:, 20:])


def test_layout_in_memory_does_not_matter(path):
    logits, scores = blobs(5, 3, 12, 20)
    sizes = ((48, 80), (47, 80), (47, 80))
    expected = panoptic_merge(logits, scores, *sizes)
    strided = logits.permute(1, 3, 2, 0).contiguous().permute(3, 0, 2, 1)
    assert not strided.is_contiguous()
    for one, other in zip(
        panoptic_merge(strided, scores.repeat(2, 1).T[:, 0], *sizes), expected, strict=True
    ):
        assert torch.equal(one, other)


@compiled_only
def test_threads_change_nothing():
    logits, scores = blobs(9, 3, 24, 40)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            with use_path("compiled"):
                results.append(panoptic_merge(logits, scores, (96, 160), (90, 150), (140, 251)))
    finally:
        torch.set_num_threads(before)
    for owner, areas in results[1:]:
        assert torch.equal(owner, results[0][0])
        assert torch.equal(areas, results[0][1])


def test_gradients_do_not_flow_and_autocast_changes_nothing(path):
    logits, scores = blobs(3, 1, 12, 20)
    sizes = ((48, 80),) * 3
    expected = panoptic_merge(logits, scores, *sizes)
    with torch.autocast("cpu", torch.bfloat16):
        owner, areas = panoptic_merge(logits.requires_grad_(), scores.requires_grad_(), *sizes)
    assert not owner.requires_grad
    assert torch.equal(owner, expected[0])
    assert torch.equal(areas, expected[1])


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"logits": torch.zeros(2, 4, 4)}, ValueError, r"logits must be \(N, T, h, w\), got \(2,"),
        ({"scores": torch.zeros(3)}, ValueError, r"one per mask of logits \(2, 1, 4, 4\), got \(3"),
        ({"scores": torch.zeros(2, 1)}, ValueError, r"scores must be \(N,\).*got \(2, 1\)"),
        (
            {"logits": torch.zeros(2, 1, 4, 4).int()},
            TypeError,
            r"got torch.int32 and torch.float32",
        ),
        ({"scores": torch.ones(2).long()}, TypeError, r"got torch.float32 and torch.int64"),
        ({"scores": torch.ones(2, device="meta")}, ValueError, r"on cpu, but scores is on meta"),
        ({"logits": torch.zeros(2, 1, 0, 4)}, ValueError, r"grid of logits must be.*got \(0, 4\)"),
        ({"padded": (0, 8)}, ValueError, r"padded must be a positive.*got \(0, 8\)"),
        ({"output": (8, 8, 8)}, ValueError, r"output must be a positive.*got \(8, 8, 8\)"),
        ({"valid": (8, 9)}, ValueError, r"valid \(8, 9\) must lie inside padded \(8, 8\)"),
    ],
)
def test_wrong_arguments_are_named_with_both_sides(path, changed, error, message):
    arguments = {
        "logits": torch.zeros(2, 1, 4, 4), "scores": torch.ones(2),
        "padded": (8, 8), "valid": (8, 8), "output": (8, 8), **changed,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        panoptic_merge(**arguments)


def test_more_masks_than_sixteen_bits_can_name(path):
    with pytest.raises((ValueError, RuntimeError), match="at most 32767 masks.*got 32768"):
        panoptic_merge(torch.zeros(32768, 1, 1, 1), torch.zeros(32768), (1, 1), (1, 1), (1, 1))


@compiled_only
def test_direct_calls_are_checked_too():
    op = torch.ops.dvps_d2.panoptic_merge
    logits, scores = torch.zeros(2, 1, 4, 4), torch.ones(2)
    with pytest.raises(RuntimeError, match="expected logits"):
        op(logits, scores[:1], [8, 8], [8, 8], [8, 8])
    with pytest.raises(RuntimeError, match="must be float64 beside float64"):
        op(logits, scores.double(), [8, 8], [8, 8], [8, 8])
    with pytest.raises(RuntimeError, match="valid inside padded, got logits of 4 x 4, padded 8 x"):
        op(logits, scores, [8, 8], [9, 8], [8, 8])
    with pytest.raises(RuntimeError, match="pairs"):
        op(logits, scores, [8], [8, 8], [8, 8])


@compiled_only
def test_opcheck():
    logits, scores = blobs(3, 2, 6, 8)
    op = torch.ops.dvps_d2.panoptic_merge.default
    torch.library.opcheck(op, (logits, scores, [24, 32], [22, 30], [22, 30]))
    torch.library.opcheck(op, (logits[:0], scores[:0], [24, 32], [22, 30], [44, 60]))


@compiled_only
def test_compiles_into_one_graph():
    logits, scores = blobs(3, 2, 6, 8)
    sizes = ((24, 32), (22, 30), (44, 60))
    compiled = torch.compile(panoptic_merge, fullgraph=True, backend="aot_eager")
    for one, other in zip(
        compiled(logits, scores, *sizes), panoptic_merge(logits, scores, *sizes), strict=True
    ):
        assert torch.equal(one, other)


class Merge(torch.nn.Module):
    def forward(self, logits, scores):
        return panoptic_merge(logits, scores, (24, 32), (22, 30), (44, 60))


@compiled_only
def test_exports_with_any_number_of_masks_and_frames():
    masks, frames = torch.export.Dim("masks", min=1), torch.export.Dim("frames", min=1)
    program = torch.export.export(
        Merge(), blobs(3, 2, 6, 8), dynamic_shapes=({0: masks, 1: frames}, {0: masks})
    )
    assert "dvps_d2.panoptic_merge" in program.graph_module.code
    other = blobs(5, 4, 6, 8, seed=1)
    for one, expected in zip(program.module()(*other), Merge()(*other), strict=True):
        assert torch.equal(one, expected)
