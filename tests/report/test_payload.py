import base64
import json
import zlib

import cv2
import numpy as np
import pytest

from dvps_d2.metrics import LabelMap, Listing
from dvps_d2.report import Limits, scores_by_key
from dvps_d2.report.frames import fitting_size, sample, segment_rows
from dvps_d2.report.payload import (
    CODES,
    NEAREST,
    STEP,
    depth_codes,
    depth_colors,
    encode_picture,
    encode_video,
    error_shares,
    pack_depth,
)
from dvps_d2.report.scores import score_video
from dvps_d2.visualize import DepthScale, Palette
from tests.report.drawings import CLASSES, COLORS, draw

PALETTE = Palette(COLORS, CLASSES.thing_ids)


def unpack(text, dtype):
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)


def test_a_video_comes_back(vps, pictures):
    video = draw("v", ["AARR/AARR", "AARR/AARR"], ["aaRR/aaRR", "bbRR/bbR."], images=pictures[:2])
    payload, size = encode_video(score_video(video, vps, CLASSES), PALETTE, Limits(), room=10**6)
    assert [entry[:2] for entry in payload["pred"]] == [[-1, 0], [0, 0], [3, 1], [3, 2]]
    assert payload["pred"][3][2:] == list(PALETTE.color(3, 2))
    first, second = payload["frames"]
    assert first["size"] == [4, 2]
    assert unpack(first["pred"], "<u2").tolist() == [2, 2, 1, 1, 2, 2, 1, 1]
    assert unpack(second["pred"], "<u2").tolist() == [3, 3, 1, 1, 3, 3, 1, 0]
    assert payload["switches"] == [[1, 2, 2, 3]]
    assert payload["tracks"] == [{"row": 2, "runs": [(0, 0)]}, {"row": 3, "runs": [(1, 1)]}]
    assert payload["objects"] == [{"row": 2, "holder": 2, "finders": [2, 3]}]
    # the second frame: four pixels with the wrong track, one of eight without a label
    assert second["shares"] == [0.375, 0, 0.125, 0, 0, 0.5]
    text = json.dumps(payload, separators=(",", ":"))
    assert size == len(text) + 1  # a comma after each frame


def test_scores_are_those_of_the_rows(vps):
    video = draw("v", ["AARR"], ["aaRR"], scores={(3, 1): 0.91234, (2, 5): 0.1})
    payload, _ = encode_video(score_video(video, vps, CLASSES), PALETTE, Limits(), room=10**6)
    row = [entry[:2] for entry in payload["pred"]].index([3, 1])
    assert payload["frames"][0]["scores"] == {str(row): 0.912}


def test_scores_are_found_by_their_pixels():
    label = LabelMap(
        np.array([[5, 5, 0], [9, 9, 0]]),
        Listing(np.array([5, 9]), np.array([3, 0]), np.zeros(2, bool)),
    )
    found = scores_by_key(label, [[1, 0, 0.8], [0, 1, 0.7], [2, 0, 0.6]], frozenset({3}))
    assert found == {(3, 5): 0.8, (0, 0): 0.7}


def test_room_ends_a_video_early(vps):
    video = draw("v", ["AARR"] * 4, ["aaRR"] * 4)
    scored = score_video(video, vps, CLASSES)
    whole, size = encode_video(scored, PALETTE, Limits(), room=10**6)
    cut, _ = encode_video(scored, PALETTE, Limits(), room=size - 1)
    none, _ = encode_video(scored, PALETTE, Limits(), room=0)
    assert [len(payload["frames"]) for payload in (whole, cut, none)] == [4, 3, 0]
    assert cut["length"] == 4


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((96, 192), (96, 192)), ((1024, 2048), (480, 960)), ((3000, 20), (960, 6))],
)
def test_sizes(shape, expected):
    assert fitting_size(shape, 960) == expected


def test_sampling_takes_the_middle_of_cells():
    values = np.arange(36).reshape(6, 6)
    assert sample(values, (2, 3)).tolist() == [[7, 9, 11], [25, 27, 29]]
    assert sample(values, (6, 6)) is values


def test_a_listed_segment_too_small_to_be_sampled_is_no_error():
    ids = np.zeros((4, 4), np.int64)
    ids[0, 0] = 5
    label = LabelMap(ids, Listing(np.array([5]), np.array([3]), np.zeros(1, bool)))
    assert segment_rows(label, {(3, 5): 1}, frozenset({3}), (2, 2)).tolist() == [[0, 0], [0, 0]]
    assert segment_rows(label, {(3, 5): 1}, frozenset({3}), (4, 4))[0, 0] == 1


def test_depth_is_kept_to_half_a_percent():
    depth = np.array([[0.1, 1.0, 12.345, 80.0, 255.0]], np.float32)
    codes = depth_codes(depth)
    back = NEAREST * np.exp((codes.astype(float) - 1) * STEP)
    np.testing.assert_allclose(back, depth, rtol=STEP / 2 + 1e-6)


def test_no_depth_is_code_zero():
    assert depth_codes(np.array([[0.0, -1.0, np.nan, np.inf]])).tolist() == [[0, 0, 0, 0]]
    assert depth_codes(np.array([[0, 256]], np.uint16)).tolist() == [[0, 600]]  # PNG units
    assert depth_codes(np.array([[1e9]])).tolist() == [[CODES - 1]]


def test_packed_depth_is_read_back_as_the_page_does():
    depth = np.array([[0.0, 3.0, 3.1], [50.0, 0.0, 2.0]])
    low, high = unpack(pack_depth(depth, (2, 3)), np.uint8).astype(int).reshape(2, 2, 3)
    codes = np.cumsum(low + 256 * high, axis=1) % 2**16
    assert codes.tolist() == depth_codes(depth).tolist()


def test_depth_colours_are_those_of_the_other_pictures():
    from dvps_d2.visualize import draw_depth

    colors = depth_colors(DepthScale())
    assert colors.shape == (CODES, 3)
    code = int(depth_codes(np.array([[10.0]]))[0, 0])
    difference = np.abs(colors[code].astype(int) - draw_depth(np.array([[10.0]]))[0, 0])
    assert difference.max() <= 3


def test_shares_of_errors():
    assert error_shares(np.array([[0, 0], [2, 5]])) == [0.5, 0, 0.25, 0, 0, 0.25]


def test_pictures_are_scaled(pictures):
    data = base64.b64decode(encode_picture(pictures[1], (2, 4)).split(",")[1])
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (2, 4, 3)
    assert abs(int(image[0, 0, 0]) - 120) < 4


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.png is not a readable image"):
        encode_picture(tmp_path / "nowhere.png", (2, 4))


@pytest.mark.parametrize(
    ("changes", "match"), [({"max_side": 3}, "at least 16"), ({"max_bytes": 0}, "above 0")]
)
def test_limits_that_make_no_sense(changes, match):
    with pytest.raises(ValueError, match=match):
        Limits(**changes)
