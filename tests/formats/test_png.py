import cv2
import numpy as np
import pytest
from PIL import Image

from dvps_d2.formats.errors import FormatError
from dvps_d2.formats.png import (
    decode_depth,
    encode_depth,
    id_to_rgb,
    read_depth_png,
    read_png,
    read_png_header,
    rgb_to_id,
    write_depth_png,
    write_png,
)


def test_sixteen_bits_survive(tmp_path):
    values = np.array([[0, 255, 256], [32000, 18999, 65535]], np.uint16)
    write_png(tmp_path / "new" / "label.png", values)
    read = read_png(tmp_path / "new" / "label.png", channels=1, bits=16)
    assert read.dtype == np.uint16
    assert read.tolist() == values.tolist()


def test_colours_are_rgb_for_other_readers_too(tmp_path):
    red_then_blue = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    write_png(tmp_path / "c.png", red_then_blue)
    assert read_png(tmp_path / "c.png").tolist() == red_then_blue.tolist()
    assert np.array(Image.open(tmp_path / "c.png")).tolist() == red_then_blue.tolist()


def test_palette_png_gives_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    image.putdata([0, 1, 2, 1])
    image.save(tmp_path / "p.png")
    assert read_png(tmp_path / "p.png", channels=1).tolist() == [[0, 1], [2, 1]]


def test_one_bit_grey_is_not_stretched(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    assert read_png_header(tmp_path / "b.png").bits == 1
    assert read_png(tmp_path / "b.png").tolist() == [[1, 0]]


def test_alpha_is_kept_in_rgba_order(tmp_path):
    pixel = np.array([[[1, 2, 3, 4]]], np.uint8)
    Image.fromarray(pixel).save(tmp_path / "a.png")
    assert read_png(tmp_path / "a.png", channels=4).tolist() == pixel.tolist()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param(
            {"bits": 16}, "expected 16 bits per channel, found a PNG of 8-bit RGB", id="bits"
        ),
        pytest.param({"channels": 1}, "expected one channel, found", id="channels"),
        pytest.param({"size": (2, 1)}, "a size of 1x2, found a PNG of 8-bit RGB, 2x1", id="size"),
    ],
)
def test_error_names_file_expected_and_found(tmp_path, asked, message):
    write_png(tmp_path / "x.png", np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(FormatError, match=message) as caught:
        read_png(tmp_path / "x.png", **asked)
    assert "x.png" in str(caught.value)


@pytest.mark.parametrize("kept", [0, 20, 60, -1, -12], ids=lambda k: f"first {k} bytes")
@pytest.mark.parametrize("shape", [(40, 40), (40, 40, 3)], ids=["grey", "rgb"])
def test_truncated_png_is_an_error(tmp_path, kept, shape):
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    write_png(tmp_path / "t.png", noise)
    data = (tmp_path / "t.png").read_bytes()
    (tmp_path / "t.png").write_bytes(data[:kept])
    with pytest.raises(FormatError, match=r"t\.png.*(truncated|empty)"):
        read_png(tmp_path / "t.png")


def test_damage_inside_the_pixels_is_an_error(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    write_png(tmp_path / "d.png", noise)
    data = bytearray((tmp_path / "d.png").read_bytes())
    data[200:400] = bytes(200)
    (tmp_path / "d.png").write_bytes(bytes(data))
    with pytest.raises(FormatError, match=r"d\.png is a damaged PNG"):
        read_png(tmp_path / "d.png")


def test_jpeg_under_a_png_name_is_an_error(tmp_path):
    _, data = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "j.png").write_bytes(data.tobytes())
    with pytest.raises(FormatError, match="not a PNG"):
        read_png(tmp_path / "j.png")


def test_missing_file_is_an_error_with_its_name(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.png does not exist"):
        read_png(tmp_path / "gone.png")


def test_failed_write_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.png"
    write_png(path, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="uint8 or uint16"):
        write_png(path, np.zeros((2, 2), np.int32))
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]
    assert read_png(path).tolist() == [[0, 0], [0, 0]]


def test_ids_use_red_as_the_low_byte():
    assert rgb_to_id(np.array([[[1, 2, 3]]], np.uint8)).tolist() == [[1 + 2 * 256 + 3 * 65536]]
    assert id_to_rgb(np.array([[0x030201]])).tolist() == [[[1, 2, 3]]]


def test_id_round_trip_is_exact(tmp_path):
    ids = np.array([[0, 1, 255, 256], [65535, 65536, 1 << 23, (1 << 24) - 1]], np.int32)
    write_png(tmp_path / "ids.png", id_to_rgb(ids))
    assert rgb_to_id(read_png(tmp_path / "ids.png")).tolist() == ids.tolist()
    # Red and blue mixed up, the usual mistake, gives other ids.
    assert rgb_to_id(read_png(tmp_path / "ids.png")[..., ::-1].copy()).tolist() != ids.tolist()


def test_id_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match=r"0\.\.16777215, got 0\.\.16777216"):
        id_to_rgb(np.array([[0, 1 << 24]]))


def test_depth_coding_by_hand(tmp_path):
    metres = np.array([[0.0, 1.0, 10.5], [255.99, 300.0, 0.0001]])
    assert encode_depth(metres).tolist() == [[0, 256, 2688], [65533, 65535, 1]]
    write_depth_png(tmp_path / "d.png", metres[:1])
    assert read_depth_png(tmp_path / "d.png").tolist() == [[0.0, 1.0, 10.5]]


def test_unknown_depth_is_zero_and_negative_is_an_error():
    assert encode_depth(np.array([[np.nan, np.inf]])).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="-2 m"):
        encode_depth(np.array([[-2.0]]))
    with pytest.raises(ValueError, match="uint16"):
        decode_depth(np.zeros((1, 1), np.uint8))


def test_two_writes_give_identical_bytes(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30)
    write_png(tmp_path / "a.png", values)
    write_png(tmp_path / "b.png", values)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
