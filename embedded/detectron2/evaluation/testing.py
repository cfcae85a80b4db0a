"""Printing results, and comparing them with what was expected."""

from __future__ import annotations

import logging
import pprint
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

logger = logging.getLogger(__name__)


def print_csv_format(results: Mapping[str, Any]) -> None:
    """Log results in lines that are easy to paste into a table.

    Metrics with "-" in their name (those of single classes) are left out.

    Args:
        results: {"task": {"metric": number}}; a task may also be a bare number.
    """
    assert isinstance(results, Mapping) or not len(results), (
        f"expected a dict of results, got {type(results)}"
    )
    for task, metrics in results.items():
        if not isinstance(metrics, Mapping):
            logger.info("copypaste: %s=%s", task, metrics)
            continue
        shown = {name: value for name, value in metrics.items() if "-" not in name}
        logger.info("copypaste: Task: %s", task)
        logger.info("copypaste: %s", ",".join(shown))
        logger.info("copypaste: %s", ",".join(f"{value:.4f}" for value in shown.values()))


def verify_results(cfg, results: Mapping[str, Any]) -> bool:
    """Compare with ``cfg.TEST.EXPECTED_RESULTS``; ends the process with code 1 if they differ.

    Args:
        cfg: its entries are [task, metric, value, tolerance].
        results: {"task": {"metric": number}}.

    Returns:
        Whether all entries are met (so, True).
    """
    expected = cfg.TEST.EXPECTED_RESULTS
    if not len(expected):
        return True
    passed = True
    for task, metric, value, tolerance in expected:
        actual = results.get(task, {}).get(metric)
        if actual is None or not np.isfinite(actual) or abs(actual - value) > tolerance:
            passed = False
    if not passed:
        logger.error("Result verification failed!")
        logger.error("Expected results: %s", expected)
        logger.error("Actual results: %s", pprint.pformat(results))
        sys.exit(1)
    logger.info("Results verification passed.")
    return True


def flatten_results_dict(results: Mapping[str, Any]) -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a/b": 1}, at any depth."""
    flat: dict[str, Any] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}/{k}": v for k, v in flatten_results_dict(value).items()})
        else:
            flat[name] = value
    return flat
