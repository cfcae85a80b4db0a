"""EventStorage and the writers."""

import json
import logging

import pytest
import torch

from detectron2.utils.events import (
    CommonMetricPrinter,
    EventStorage,
    JSONWriter,
    TensorboardXWriter,
    get_event_storage,
    has_event_storage,
)

VALUES = [5, 1, 9, 2, 8, 3, 7, 4, 6, 0] * 3


def run_recorded(storage: EventStorage) -> None:
    for iteration, value in enumerate(VALUES):
        storage.iter = iteration
        storage.put_scalar("loss", value)
        storage.put_scalar("lr", value / 10, smoothing_hint=False)
        if iteration % 5 == 4:
            storage.put_scalar("sparse", value)
        with storage.name_scope("a"):
            storage.put_scalar("b", iteration)


def test_there_is_no_storage_outside_a_context():
    assert not has_event_storage()
    with pytest.raises(
        AssertionError,
        match=r"has to be called inside a 'with EventStorage\(...\)' context!",
    ):
        get_event_storage()
    with EventStorage() as outer, EventStorage(3) as inner:
        assert has_event_storage()
        assert get_event_storage() is inner
        assert (outer.iter, inner.iter) == (0, 3)


def test_smoothing_equals_the_recorded_one(read_records):
    record = read_records("a_utils")["event_storage"]
    with EventStorage() as storage:
        run_recorded(storage)
    for window in (20, 7):
        found = storage.latest_with_smoothing_hint(window)
        expected = record[f"latest_with_smoothing_hint_{window}"]
        assert {name: list(value) for name, value in found.items()} == expected
    for name, count in record["count_samples_20"].items():
        assert storage.count_samples(name, 20) == count
    history = storage.history("loss")
    assert {
        "latest": history.latest(),
        "median_5": history.median(5),
        "avg_5": history.avg(5),
        "global_avg": history.global_avg(),
    } == pytest.approx(record["history_loss"])


def test_names_and_hints():
    with EventStorage() as storage:
        storage.put_scalars(a=1, b=torch.tensor(2.0))
        storage.put_scalar("lr", 0.1, smoothing_hint=False, cur_iter=7)
        assert storage.latest() == {"a": (1.0, 0), "b": (2.0, 0), "lr": (0.1, 7)}
        assert storage.smoothing_hints() == {"a": True, "b": True, "lr": False}
        with pytest.raises(
            AssertionError, match="Scalar lr was put with a different smoothing_hint!"
        ):
            storage.put_scalar("lr", 0.2)
        with pytest.raises(KeyError, match="No history metric available for nope!"):
            storage.history("nope")
        assert set(storage.histories()) == {"a", "b", "lr"}


def test_steps():
    storage = EventStorage(5)
    storage.step()
    assert (storage.iter, storage.iteration) == (6, 6)


def test_json_lines_are_grouped_by_iteration(tmp_path):
    path = tmp_path / "metrics.json"
    writer = JSONWriter(str(path))
    with EventStorage() as storage:
        storage.put_scalar("z", 1.0)
        storage.put_scalar("a", 2.0, smoothing_hint=False)
        writer.write()
        writer.write()  # nothing new
        storage.iter = 1
        storage.put_scalar("a", 3.0, smoothing_hint=False)
        storage.put_scalar("z", 4.0, cur_iter=2)
        writer.write()
    writer.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"a": 2.0, "iteration": 0, "z": 1.0}
    assert sorted(lines[1:], key=lambda line: line["iteration"]) == [
        {"a": 3.0, "iteration": 1},
        {"iteration": 2, "z": 2.5},
    ]
    assert path.read_text().startswith('{"a"')  # sorted keys
    JSONWriter(str(path)).close()  # opened for appending
    assert len(path.read_text().splitlines()) == 3


def test_tensorboard_files_are_written_and_images_forgotten(tmp_path):
    writer = TensorboardXWriter(str(tmp_path / "tb"))
    writer.close()  # nothing was written: no file
    assert not (tmp_path / "tb").exists()
    with EventStorage() as storage:
        storage.put_scalar("a", 1.0)
        storage.put_image("image", torch.zeros(3, 4, 4))
        storage.put_histogram("values", torch.arange(10.0), bins=5)
        writer.write()
        assert storage._vis_data == []
        assert storage._histograms == []
    writer.close()
    assert len(list((tmp_path / "tb").iterdir())) == 1


def test_the_printer_logs_one_line(caplog):
    logging.getLogger("detectron2").propagate = True
    printer = CommonMetricPrinter(max_iter=101)
    with EventStorage() as storage, caplog.at_level(logging.INFO):
        for _ in range(3):
            storage.put_scalars(total_loss=2.0, time=0.5, data_time=0.25, other=1.0)
            storage.put_scalar("lr", 0.001, smoothing_hint=False)
            storage.step()
        printer.write()
        assert storage.latest()["eta_seconds"] == (0.5 * 97, 3)
    lines = {r.getMessage() for r in caplog.records if r.name.endswith("utils.events")}
    (line,) = lines
    for part in ("eta: 0:00:48", "iter: 3", "total_loss: 2", "time: 0.5", "data_time: 0.25"):
        assert part in line
    assert "lr: 0.001" in line
    assert "other" not in line


def test_the_printer_is_silent_after_training(caplog):
    logging.getLogger("detectron2").propagate = True
    with EventStorage(5), caplog.at_level(logging.INFO):
        CommonMetricPrinter(max_iter=5).write()
    assert not [r for r in caplog.records if r.name.endswith("utils.events")]
