"""Runs configure loggers; other tests should not notice."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _restore_loggers() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore")]
    before = [(log.propagate, log.level, list(log.handlers)) for log in loggers]
    yield
    for log, (propagate, level, handlers) in zip(loggers, before, strict=True):
        log.propagate, log.handlers = propagate, handlers
        log.setLevel(level)
