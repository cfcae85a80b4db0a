"""What the ``dvps`` command does around its commands."""

import errno
import os
from types import SimpleNamespace

import pytest

from dvps_d2 import cli


@pytest.fixture
def failing(monkeypatch):
    """Makes every command end in an error."""

    def fail_with(error):
        def run(args):
            raise error

        parser = SimpleNamespace(parse_args=lambda rest: None)
        command = SimpleNamespace(run=run), parser
        monkeypatch.setattr(cli, "load_command", lambda name: command)

    return fail_with


def test_ctrl_c_ends_without_a_traceback(failing, capsys):
    failing(KeyboardInterrupt())
    assert cli.main(["check", "folder"]) == 130
    assert capsys.readouterr().err == "\ndvps check: stopped\n"


def test_ctrl_c_while_a_command_is_loaded(monkeypatch):
    def load(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_command", load)
    assert cli.main(["check", "folder"]) == 130


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOENT, os.strerror(errno.ENOENT), "a.json"),
            "a.json: No such file or directory",
        ),
        (OSError("the disk is full"), "the disk is full"),
        (ValueError("every must be at least 1"), "every must be at least 1"),
    ],
    ids=["with its file", "without a file", "value"],
)
def test_an_error_is_one_line(failing, capsys, error, message):
    failing(error)
    assert cli.main(["check", "folder"]) == 1
    assert capsys.readouterr().err == f"dvps check: {message}\n"
