"""What a run says on the console and in its log file."""

import logging

import pytest
from detectron2.utils.logger import setup_logger

from dvps_d2.d2.logs import ShortMessages, log_to_folder

NAMES = ("detectron2", "dvps_d2")


@pytest.fixture
def bare_loggers():
    """Both loggers without handlers, and afterwards as they were."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(log, log.handlers, log.level, log.propagate) for log in loggers]
    for log in loggers:
        log.handlers = []
    yield
    for log, handlers, level, propagate in before:
        log.handlers = handlers
        log.setLevel(level)
        log.propagate = propagate


def message(lines):
    text = "Config:\n" + "\n".join(f"line {n}" for n in range(lines))
    return logging.LogRecord("x", logging.INFO, "file", 1, text, None, None)


def test_only_long_messages_are_cut():
    formatter = ShortMessages(logging.Formatter("[now] %(message)s"), lines=3)
    assert formatter.format(message(2)) == "[now] Config:\nline 0\nline 1"
    assert formatter.format(message(3)) == "[now] Config: (3 lines: see log.txt)"
    assert formatter.format(logging.makeLogRecord({"msg": ""})) == "[now] "


def test_the_file_has_everything_and_the_console_says_it_once(bare_loggers, tmp_path, capsys):
    setup_logger(name="dvps_d2")
    folder = str(tmp_path / "run")
    log_to_folder(folder)
    theirs = setup_logger(folder, distributed_rank=0)  # as default_setup does it
    theirs.info(message(100).getMessage())
    logging.getLogger("dvps_d2").info("scores")
    shown = capsys.readouterr().out
    assert "Config: (100 lines: see log.txt)" in shown
    assert "line 50" not in shown
    assert shown.count("scores") == 1
    kept = (tmp_path / "run" / "log.txt").read_text()
    assert kept.count("line 50\n") == 1
    assert kept.count("scores") == 1
