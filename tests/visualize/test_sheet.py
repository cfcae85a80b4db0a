import numpy as np
import pytest

from dvps_d2.visualize import Palette, SegmentMap, SheetFrame, draw_legend, result_sheet
from dvps_d2.visualize.text import text_size

PALETTE = Palette([(200, 0, 0), (0, 0, 200)], [1])
NAMES = ["road", "car"]


def frame(**known):
    return SheetFrame(np.full((20, 40, 3), 90, np.uint8), "frame 0", **known)


def road():
    return SegmentMap.from_labels(np.zeros((20, 40), np.uint8), np.zeros((20, 40), np.int32))


def test_columns_are_what_is_known():
    only_image = result_sheet([frame()], PALETTE, NAMES, cell_width=100)
    with_truth = result_sheet([frame(truth=road())], PALETTE, NAMES, cell_width=100)
    full = frame(
        truth=road(), prediction=road(), depth=np.ones((20, 40)), true_depth=np.ones((20, 40))
    )
    everything = result_sheet([full], PALETTE, NAMES, cell_width=100)
    widths = [sheet.shape[1] for sheet in (only_image, with_truth, everything)]
    assert widths == [120, 226, 5 * 100 + 4 * 6 + 20]


def test_a_row_that_lacks_a_column_stays_dark():
    sheet = result_sheet([frame(truth=road()), frame()], PALETTE, NAMES, cell_width=100)
    lower_right = sheet[100:140, 130:210]
    assert lower_right.max() < 40


def test_one_more_frame_is_one_more_row():
    one = result_sheet([frame()], PALETTE, NAMES, cell_width=100)
    two = result_sheet([frame(), frame()], PALETTE, NAMES, cell_width=100)
    assert two.shape[0] - one.shape[0] == 50 + 6


def test_legend_shows_the_class_colour_and_wraps():
    legend = draw_legend([0, 1], PALETTE, NAMES, 400)
    assert legend[10, 10].tolist() == [200, 0, 0]
    assert draw_legend([0, 1], PALETTE, NAMES, 90).shape[0] == 2 * legend.shape[0]


def test_a_legend_without_room_tells_how_many_are_missing():
    palette, names = Palette([(200, 0, 0)] * 30, []), [f"class {i}" for i in range(30)]
    whole = draw_legend(range(30), palette, names, 300)
    cut = draw_legend(range(30), palette, names, 300, most_lines=2)
    assert cut.shape[0] == 2 * 22
    assert (cut[:22] == whole[:22]).all()
    row = np.flatnonzero((cut[22:] == palette.color(0)).all(-1).any(0))
    behind = cut[22:, row.max() + 5 + text_size("class 9", 10)[0] :]
    assert behind.max() == 255  # "+23" stands behind the last name
    assert draw_legend([0], palette, names, 300, most_lines=2).shape[0] == 22


def test_no_frames_is_an_error():
    with pytest.raises(ValueError, match="frames is empty"):
        result_sheet([], PALETTE, NAMES)
