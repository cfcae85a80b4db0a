import json
import pickle
import sys
from pathlib import Path

import pytest
import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.engine import DefaultPredictor
from detectron2.modeling import build_model

from dvps_d2.cli import main
from dvps_d2.d2.checkpoint import ModelCheckpointer
from dvps_d2.d2.weight_files import read_checkpoint
from dvps_d2.d2.weights import (
    convert_keys,
    find_family,
    fit_to_model,
    outline_of_model,
    reorder_classes,
)
from dvps_d2.formats import class_table

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
HEAD = ["sem_seg_head.predictor.class_embed.weight", "sem_seg_head.predictor.class_embed.bias"]
COMPUTED = "criterion.empty_weight"


def recorded(name):
    """Keys and shapes of a published model."""
    return json.loads((DATA / f"{name}_keys.json").read_text())


def classes(table, count):
    """The same model with another class count."""
    changed = {key: [count + 1, *table[key][1:]] for key in table if "class_embed" in key}
    return {**table, **changed, COMPUTED: [count + 1]}


OFFLINE_R50 = recorded("dvis_offline_r50_vipseg")
SWIN_L = recorded("mask2former_swinl_coco_panoptic")
TABLES = {
    "minvis_R50": recorded("minvis_r50_vipseg"),
    "dvis_online_R50": recorded("dvis_online_r50_vipseg"),
    "dvis_offline_R50": OFFLINE_R50,
    "minvis_swin_L": classes(SWIN_L, 124),  # not recorded with this head
    "dvis_online_swin_L": recorded("dvis_online_swinl_vipseg"),
    "dvis_offline_swin_L": recorded("dvis_offline_swinl_vipseg"),
}
# Files of other class counts that a training starts from: file, model that takes it, classes.
STARTS = [
    ("mask2former_r50_coco_panoptic", "minvis_R50", 133),
    ("minvis_r50_video", "minvis_R50", 40),
    ("mask2former_swinl_coco_panoptic", "minvis_swin_L", 133),
]
ENTRIES = {"minvis_R50": 558, "dvis_online_R50": 676, "dvis_offline_R50": 868,
           "minvis_swin_L": 650, "dvis_online_swin_L": 768, "dvis_offline_swin_L": 960}  # fmt: skip


def tensors(table):
    return {key: torch.empty(shape, device="meta") for key, shape in table.items()}


def model_of(name):
    return outline_of_model(str(ROOT / "configs" / "experiments" / "vipseg" / f"{name}.yaml"))


@pytest.mark.parametrize("name", TABLES)
def test_published_models_have_exactly_these_tensors(name):
    assert len(TABLES[name]) == ENTRIES[name]
    assert {key: list(t.shape) for key, t in model_of(name).items()} == TABLES[name]


@pytest.mark.parametrize("name", TABLES)
def test_published_files_load_whole(name):
    conversion = convert_keys(tensors(TABLES[name]))
    assert conversion.family == ("DVIS" if name.startswith("dvis") else "Mask2Former")
    assert conversion.renamed == {}
    assert conversion.left_out == ()
    fit = fit_to_model(conversion.weights, model_of(name))
    assert (fit.dropped, fit.leftover, fit.new) == ({}, (), ())


@pytest.mark.parametrize(("file", "name", "count"), STARTS)
def test_a_head_of_another_class_count_is_all_that_is_dropped(file, name, count):
    conversion = convert_keys(tensors(recorded(file)))
    assert (conversion.family, conversion.left_out) == ("Mask2Former", ())
    fit = fit_to_model(conversion.weights, model_of(name))
    assert set(fit.dropped) == set(fit.new) == set(HEAD)
    assert fit.dropped[HEAD[1]] == f"({count + 1},) in the file, (125,) in the model"
    assert fit.leftover == ()


@pytest.mark.parametrize(
    ("start", "name", "prefix"),
    [
        ("minvis_R50", "dvis_online_R50", "tracker."),
        ("dvis_online_R50", "dvis_offline_R50", "refiner."),
        ("minvis_swin_L", "dvis_online_swin_L", "tracker."),
    ],
)
def test_a_stage_adds_to_the_checkpoint_before(start, name, prefix):
    fit = fit_to_model(tensors(TABLES[start]), model_of(name))
    assert (fit.dropped, fit.leftover) == ({}, ())
    assert set(fit.new) == {key for key in TABLES[name] if key.startswith(prefix)}


def test_another_number_of_queries_is_named():
    fewer = {k: [100, 256] if "predictor.query_" in k else s for k, s in SWIN_L.items()}
    fit = fit_to_model(tensors(classes(fewer, 124)), model_of("minvis_swin_L"))
    assert fit.dropped == {
        f"sem_seg_head.predictor.{name}.weight": "(100, 256) in the file, (200, 256) in the model"
        for name in ("query_embed", "query_feat")
    }


def old_names(key):
    """What the oldest published files call a tensor."""
    key = key.replace("predictor.query_feat", "predictor.static_query")
    key = key.replace("sem_seg_head.pixel_decoder.", "sem_seg_head.")
    return key.replace("refiner.", "offline_tracker.", 1) if key.startswith("refiner") else key


def test_old_names_become_the_names_of_today():
    old = {old_names(key): key for key in OFFLINE_R50}
    conversion = convert_keys({key: torch.empty(0) for key in old})
    assert set(conversion.weights) == set(OFFLINE_R50)
    assert conversion.renamed == {new: key for key, new in old.items() if new != key}
    assert len(conversion.renamed) > 150
    again = convert_keys(conversion.weights)
    assert again.renamed == {}  # a level is never inserted twice


def test_a_file_that_mixes_two_versions_is_refused():
    name = "sem_seg_head.predictor.{}.weight"
    with pytest.raises(ValueError, match="mixes two versions of a model"):
        convert_keys({name.format(x): torch.zeros(1) for x in ("static_query", "query_feat")})


def test_swin_of_imagenet_gives_the_backbone_but_its_output_norms():
    backbone = {k.removeprefix("backbone."): s for k, s in SWIN_L.items() if "backbone" in k}
    norms = {f"norm{i}.{kind}" for i in range(4) for kind in ("weight", "bias")}
    file = {k: s for k, s in backbone.items() if k not in norms}
    rest = ["norm.weight", "norm.bias", "head.weight", "head.bias", "layers.0.blocks.1.attn_mask"]
    conversion = convert_keys(tensors({**file, **{key: [1] for key in rest}}))
    assert conversion.family == "Swin on ImageNet"
    assert sorted(conversion.left_out) == sorted(rest)
    fit = fit_to_model(conversion.weights, model_of("minvis_swin_L"))
    assert (fit.dropped, fit.leftover) == ({}, ())
    missing = {key for key in fit.new if key.startswith("backbone.")}
    assert missing == {f"backbone.{name}" for name in norms}


def test_counters_of_normalisation_layers_may_come_or_be_missing():
    counter = "backbone.stem.conv1.norm.num_batches_tracked"
    one, two = {counter: torch.tensor(1)}, {counter: torch.tensor(2)}
    assert fit_to_model(two, one).weights == two  # a resumed run goes on counting
    assert fit_to_model({}, one).new == ()
    assert fit_to_model(two, {}).leftover == ()


def test_strangers_have_no_family():
    assert find_family(["conv1.weight", "layer1.0.conv1.weight"]) is None


def test_things_first_heads_of_vipseg_come_into_the_order_of_the_dataset():
    table = class_table("vipseg")
    order = table.things_first()
    # The file's row i says which class of the dataset it stands for; -1 is "no object".
    bias = torch.tensor([*order, -1])
    key = "tracker.class_embed.bias"
    ours = reorder_classes({key: bias, "other": torch.zeros(1)}, order)
    assert ours[key].tolist() == [*range(124), -1]
    assert order[:2] == (2, 4)  # door, ladder: the first things
    with pytest.raises(ValueError, match="has 2 rows, but the class order has 124 classes"):
        reorder_classes({key: torch.zeros(2)}, order)
    with pytest.raises(ValueError, match="no class head"):
        reorder_classes({"other": bias}, order)


@pytest.fixture
def published(dvis_cfg, tmp_path):
    """Files of a shrunk offline model by its oldest names, and the weights inside."""
    cfg = dvis_cfg("dvis_offline")
    torch.manual_seed(7)
    weights = {key: torch.randn(t.shape) if t.is_floating_point() else t
               for key, t in build_model(cfg).state_dict().items()}  # fmt: skip
    old = {old_names(key): tensor for key, tensor in weights.items()}
    torch.save({"model": old, "iteration": 9}, tmp_path / "old.pth")
    arrays = {key: tensor.numpy() for key, tensor in old.items()}
    content = {"model": arrays, "__author__": "third_party", "matching_heuristics": True}
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(content))
    return cfg, weights, tmp_path


@pytest.mark.parametrize("name", ["old.pth", "old.pkl"])
def test_detectron2_loads_published_files_as_they_are(published, name):
    cfg, weights, folder = published
    model = build_model(cfg)
    DetectionCheckpointer(model).load(str(folder / name))
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[key]) or key == COMPUTED, key
    ModelCheckpointer(model, complete=True).load(str(folder / name))


def test_the_predictor_takes_a_published_file(published):
    cfg, weights, folder = published
    cfg.MODEL.WEIGHTS = str(folder / "old.pth")
    cfg.INPUT.MIN_SIZE_TEST = 64
    predictor = DefaultPredictor(cfg)
    key = "refiner.activation_proj.weight"
    assert torch.equal(predictor.model.state_dict()[key], weights[key])
    out = predictor(torch.zeros(64, 96, 3, dtype=torch.uint8).numpy())
    assert out["panoptic_seg"][0].shape == (64, 96)


@pytest.mark.parametrize("renamed", [True, False], ids=["old names", "names of today"])
def test_wrong_shapes_are_left_out_with_a_report(published, caplog, renamed):
    cfg, weights, folder = published
    wrong = {key: torch.zeros(3, 3) if "query_feat" in key or key == HEAD[0] else tensor
             for key, tensor in weights.items()}  # fmt: skip
    names = old_names if renamed else str
    torch.save({"model": {names(k): t for k, t in wrong.items()}}, folder / "wrong.pth")
    model = build_model(cfg)
    fresh = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with caplog.at_level("INFO"):
        DetectionCheckpointer(model).load(str(folder / "wrong.pth"))
    changed = {k for k, t in model.state_dict().items() if not torch.equal(t, fresh[k])}
    assert not changed & {HEAD[0], "sem_seg_head.predictor.query_feat.weight"}
    assert changed > {HEAD[1], "tracker.class_embed.weight"}
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "class_embed.weight" in said
    assert "2 new in the model" in said


def test_a_file_that_fits_nowhere_is_an_error(published):
    cfg, _, folder = published
    torch.save({"model": {"conv1.weight": torch.zeros(1)}}, folder / "other.pth")
    with pytest.raises(ValueError, match="holds no tensor of DVIS_offline"):
        ModelCheckpointer(build_model(cfg)).load(str(folder / "other.pth"))


def test_pickles_that_run_code_are_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return print, ("never",)

    (tmp_path / "trap.pkl").write_bytes(pickle.dumps({"model": Trap()}))
    with pytest.raises(ValueError, match=r"builtins\.print does not belong in a file of weights"):
        read_checkpoint(tmp_path / "trap.pkl")


def test_convert_weights_writes_safetensors_that_load(published, capsys):
    pytest.importorskip("safetensors")
    cfg, weights, folder = published
    out = folder / "new.safetensors"
    config = str(ROOT / "configs/experiments/street/dvis_offline_compact.yaml")
    arguments = ["convert-weights", str(folder / "old.pkl"), str(out)]
    assert main([*arguments, "--config-file", config]) == 0
    said = capsys.readouterr().out
    assert "family: DVIS" in said
    assert "offline_tracker.class_embed.bias -> refiner.class_embed.bias" in said
    assert "is not taken: (20, 32) in the file, (40, 128) in the model" in said
    model = build_model(cfg)
    ModelCheckpointer(model, complete=True).load(str(out))
    state = model.state_dict()
    assert all(torch.equal(state[key], weights[key]) for key in weights if key != COMPUTED)


def test_convert_weights_names_bad_input(tmp_path, capsys):
    assert main(["convert-weights", "nowhere.pth", "out.safetensors"]) == 1
    assert "nowhere.pth does not exist" in capsys.readouterr().err
    assert main(["convert-weights", "nowhere.pth", "out.pth"]) == 1
    assert "out.pth must end in .safetensors" in capsys.readouterr().err
    (tmp_path / "text.pth").write_text("hello\n")
    assert main(["convert-weights", str(tmp_path / "text.pth"), "out.safetensors"]) == 1
    assert "text.pth is not a plain file of weights: " in capsys.readouterr().err


@pytest.mark.parametrize("content", [[1, 2], {"model": [1, 2]}], ids=["list", "model of list"])
def test_weights_without_names_are_refused(content, tmp_path):
    path = tmp_path / "list.pth"
    torch.save(content, path)
    for read in (read_checkpoint, ModelCheckpointer(torch.nn.Linear(1, 1)).load):
        with pytest.raises(ValueError, match=r"list\.pth is no file of weights: .* found a list"):
            read(str(path))


def test_a_folder_of_weights_is_told_from_a_missing_file(tmp_path):
    for read in (read_checkpoint, ModelCheckpointer(torch.nn.Linear(1, 1)).load):
        with pytest.raises(FileNotFoundError, match=r"is a folder; name a file in it"):
            read(str(tmp_path))


def test_damaged_and_unwritable_safetensors_are_named(tmp_path, capsys):
    pytest.importorskip("safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is text\n")
    text = str(tmp_path / "text.safetensors")
    assert main(["convert-weights", text, str(tmp_path / "out.safetensors")]) == 1
    assert "text.safetensors is not a plain file of weights" in capsys.readouterr().err
    torch.save({"weight": torch.ones(2)}, tmp_path / "w.pth")
    weights = str(tmp_path / "w.pth")
    assert main(["convert-weights", weights, f"{text}/out.safetensors"]) == 1
    assert "text.safetensors/out.safetensors cannot be written" in capsys.readouterr().err
    assert main(["convert-weights", weights, str(tmp_path / "new/out.safetensors")]) == 0
    assert (tmp_path / "new/out.safetensors").is_file()


def test_convert_weights_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    torch.save({"weight": torch.ones(2)}, tmp_path / "w.pth")
    assert main(["convert-weights", str(tmp_path / "w.pth"), str(tmp_path / "w.safetensors")]) == 1
    assert "`pip install safetensors`" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"hello\n", b"", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_checkpoint_is_named(content, tmp_path):
    path = tmp_path / "text.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"text\.pth is not a checkpoint, or only a part of one"):
        ModelCheckpointer(torch.nn.Linear(1, 1)).load(str(path))
