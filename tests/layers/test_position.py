import json
from pathlib import Path

import pytest
import torch

from dvps_d2.layers import sine_position

RECORD = json.loads((Path(__file__).parents[1] / "data" / "mask2former_small.json").read_text())[
    "sine_position"
]


def test_sine_position_gives_the_recorded_numbers():
    height, width = RECORD["grid_hw"]
    code = sine_position(height, width, 2 * RECORD["num_pos_feats"])
    assert code.shape == (6, 8)
    torch.testing.assert_close(code[5], torch.tensor(RECORD["value_at_y1_x2"]), rtol=0, atol=1.5e-6)
    assert code.sum().item() == pytest.approx(RECORD["sum"], abs=1e-4)


def test_rows_differ_in_the_first_half_and_columns_in_the_second():
    code = sine_position(2, 2, 8, dtype=torch.float64).reshape(2, 2, 8)
    assert torch.equal(code[0, 0, :4], code[0, 1, :4])
    assert torch.equal(code[0, 0, 4:], code[1, 0, 4:])
    # Half way of two rows is half a turn: sin(pi) = 0, cos(pi) = -1.
    torch.testing.assert_close(
        code[0, 0, :2], torch.tensor([0.0, -1.0], dtype=torch.float64), rtol=0, atol=1e-5
    )


def test_channels_must_be_a_multiple_of_four():
    with pytest.raises(ValueError, match=r"multiple of 4.*got 6"):
        sine_position(2, 2, 6)
