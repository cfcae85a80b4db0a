"""CfgNode: files, bases, lists of overrides, and what it refuses."""

import logging
import re

import pytest
import yaml

from detectron2.config import CfgNode, get_cfg, global_cfg, set_global_cfg

TUPLES = [
    "DATASETS.TRAIN",
    "DATASETS.TEST",
    "DATASETS.PROPOSAL_FILES_TRAIN",
    "DATASETS.PROPOSAL_FILES_TEST",
    "INPUT.MIN_SIZE_TRAIN",
    "MODEL.RETINANET.BBOX_REG_WEIGHTS",
    "MODEL.ROI_BOX_CASCADE_HEAD.BBOX_REG_WEIGHTS",
    "MODEL.ROI_BOX_CASCADE_HEAD.IOUS",
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS",
    "MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS",
    "MODEL.RPN.BBOX_REG_WEIGHTS",
    "SOLVER.STEPS",
    "TEST.AUG.MIN_SIZES",
]


def leaves(node: CfgNode, prefix: str = "") -> dict:
    found = {}
    for key, value in node.items():
        if isinstance(value, CfgNode):
            found.update(leaves(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = value
    return found


@pytest.fixture
def write(tmp_path):
    """Write a YAML file and return its path."""

    def to(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return to


def test_get_cfg_gives_a_new_object_every_time():
    first = get_cfg()
    first.MODEL.DEVICE = "cpu"
    assert get_cfg().MODEL.DEVICE == "cuda"


def test_which_defaults_are_tuples():
    found = leaves(get_cfg())
    assert len(found) == 192
    assert sorted(key for key, value in found.items() if isinstance(value, tuple)) == sorted(TUPLES)


def test_bases_are_merged_in_order(write):
    write("b1.yaml", "SOLVER: {BASE_LR: 0.5, MAX_ITER: 10}\nINPUT: {FORMAT: RGB}")
    write("b2.yaml", "SOLVER: {BASE_LR: 0.25}")
    cfg = get_cfg()
    cfg.merge_from_file(write("top.yaml", "_BASE_: [b1.yaml, b2.yaml]\nSOLVER: {MAX_ITER: 11}"))
    assert [cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.INPUT.FORMAT] == [0.25, 11, "RGB"]


def test_load_yaml_with_base_gives_a_plain_dict(write):
    write("base.yaml", "A: {x: 1, y: 2}")
    loaded = CfgNode.load_yaml_with_base(write("top.yaml", "_BASE_: base.yaml\nA: {y: 3}"))
    assert loaded == {"A": {"x": 1, "y": 3}}


def test_a_dict_cannot_replace_a_scalar_of_the_base(write):
    write("base.yaml", "SOLVER: 1")
    with pytest.raises(AssertionError, match="Cannot inherit key 'SOLVER' from base!"):
        get_cfg().merge_from_file(write("top.yaml", "_BASE_: base.yaml\nSOLVER: {MAX_ITER: 1}"))


def test_a_file_without_version_is_taken_as_the_latest(write, caplog):
    path = write("x.yaml", "SEED: 3")
    with caplog.at_level(logging.WARNING):
        logging.getLogger("detectron2").propagate = True
        cfg = get_cfg()
        cfg.merge_from_file(path)
    assert cfg.SEED == 3
    assert (
        f"Config '{path}' has no VERSION. Assuming it to be compatible with latest v2."
        in caplog.text
    )


def test_a_newer_file_is_refused(write):
    with pytest.raises(AssertionError, match="v3"):
        get_cfg().merge_from_file(write("x.yaml", "VERSION: 3"))


def test_unsafe_yaml_is_read_only_when_allowed(write):
    path = write("x.yaml", "VERSION: 2\nDATASETS: {TRAIN: !!python/tuple [a, b]}")
    cfg = get_cfg()
    cfg.merge_from_file(path)
    assert cfg.DATASETS.TRAIN == ("a", "b")
    with pytest.raises(yaml.constructor.ConstructorError):
        get_cfg().merge_from_file(path, allow_unsafe=False)


def test_overrides_take_the_type_of_the_default():
    cfg = get_cfg()
    cfg.merge_from_list(
        ["SOLVER.STEPS", "[1, 2]", "DATASETS.TRAIN", "('a', 'b')", "SOLVER.BASE_LR", "1e-4"]
    )
    cfg.merge_from_list(["MODEL.PIXEL_MEAN", (1, 2, 3), "SOLVER.WEIGHT_DECAY_BIAS", 0.5])
    assert cfg.SOLVER.STEPS == (1, 2)
    assert cfg.DATASETS.TRAIN == ("a", "b")
    assert cfg.SOLVER.BASE_LR == 1e-4
    assert cfg.MODEL.PIXEL_MEAN == [1, 2, 3]
    assert cfg.SOLVER.WEIGHT_DECAY_BIAS == 0.5


def test_strings_in_yaml_are_evaluated_too(write):
    cfg = get_cfg()
    cfg.merge_from_file(write("x.yaml", "VERSION: 2\nSOLVER: {BASE_LR: 1e-4}"))
    assert cfg.SOLVER.BASE_LR == 1e-4


@pytest.mark.parametrize(
    ("overrides", "error", "text"),
    [
        (["MODEL.FOO", 1], AssertionError, "Non-existent key: MODEL.FOO"),
        (
            ["MODEL.MASK_ON", "abc"],
            ValueError,
            "Type mismatch (<class 'bool'> vs. <class 'str'>) with values (False vs. abc) "
            "for config key: MODEL.MASK_ON",
        ),
        (
            ["SOLVER.BASE_LR", "1"],
            ValueError,
            "Type mismatch (<class 'float'> vs. <class 'int'>) with values (0.001 vs. 1) "
            "for config key: SOLVER.BASE_LR",
        ),
        (["SOLVER.MAX_ITER", "1e3"], ValueError, "for config key: SOLVER.MAX_ITER"),
        (["SOLVER.BASE_LR"], AssertionError, "Override list has odd length: ['SOLVER.BASE_LR']"),
        (["_BASE_", "x.yaml"], AssertionError, "can only be used in files"),
    ],
)
def test_bad_overrides(overrides, error, text):
    with pytest.raises(error, match=re.escape(text)):
        get_cfg().merge_from_list(overrides)


def test_bad_files(write):
    with pytest.raises(KeyError, match=re.escape("Non-existent config key: MODEL.FOO")):
        get_cfg().merge_from_file(write("x.yaml", "VERSION: 2\nMODEL: {FOO: 1}"))
    with pytest.raises(AssertionError, match=r"Config file '/nope/x.yaml' does not exist!"):
        get_cfg().merge_from_file("/nope/x.yaml")


def test_frozen_nodes_refuse_attributes():
    cfg = get_cfg()
    cfg.freeze()
    with pytest.raises(
        AttributeError,
        match="Attempted to set MASK_ON to True, but CfgNode is immutable",
    ):
        cfg.MODEL.MASK_ON = True
    cfg.defrost()
    cfg.MODEL.MASK_ON = True
    cfg.NEW_KEY = CfgNode({"A": 1})  # an unfrozen node takes new keys
    assert cfg.NEW_KEY.A == 1


def test_computed_keys_are_set_once():
    cfg = get_cfg()
    cfg.COMPUTED_X = 1
    cfg.COMPUTED_X = 1
    with pytest.raises(KeyError, match="COMPUTED_X"):
        cfg.COMPUTED_X = 2


def test_dump_can_be_read_again(write):
    cfg = get_cfg()
    cfg.SEED = 7
    other = get_cfg()
    other.merge_from_file(write("x.yaml", cfg.dump()))
    assert yaml.safe_load(other.dump()) == yaml.safe_load(cfg.dump())
    assert other.SEED == 7


def test_the_global_config_is_filled_in_place():
    kept = dict(global_cfg)
    try:
        set_global_cfg(get_cfg())
        assert global_cfg.MODEL.DEVICE == "cuda"
    finally:
        global_cfg.clear()
        global_cfg.update(kept)
