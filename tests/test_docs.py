"""Documents: commands parse, configs load, code runs, links lead somewhere, the site builds."""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from unittest import mock

import pytest

from tests.commands import (
    DOCUMENTS,
    ROOT,
    code_in,
    commands_of_config,
    commands_of_script,
    document_commands,
    help_commands,
)

SCRIPTS = [ROOT / "train_net.py"]
SCRIPTS += sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "datasets").glob("*.py")])
CONFIGS = sorted((ROOT / "configs" / "experiments").rglob("*.yaml"))
COMMANDS = document_commands() + help_commands()
COMMANDS += [command for path in SCRIPTS for command in commands_of_script(path)]
COMMANDS += [command for path in CONFIGS for command in commands_of_config(path)]
PLACEHOLDERS = {"CONFIG", "FILE", "DIR"}
# Programs of others, of which nothing here can go out of date but what is checked below.
FOREIGN = {"export", "source", "git", "tensorboard"}


def name_of(path):
    return str(path.relative_to(ROOT))


@cache
def generator():
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse(parser, words, command):
    try:
        return parser.parse_args(words)
    except SystemExit as end:
        if end.code:
            pytest.fail(f"{command}\nis not what the command takes")


def load(config, options, command):
    """A named config must load with the options of the command."""
    if not config or str(config) in PLACEHOLDERS or str(config).startswith("output/"):
        return
    import dvps_d2.d2.loading as module

    assert (ROOT / config).is_file(), f"{command}\nnames a config that does not exist"
    options = ["1" if word in ("s", "n") else word for word in options]  # SEED s: any number
    with mock.patch.object(module, "register_own_data"):  # data that a page makes before
        module.load_config(ROOT / config, options)


def check_dvps(words, command):
    known = generator().COMMANDS
    assert words[1] in known, f"{command}\nthere is no such command; there are {', '.join(known)}"
    if "--help" in words:
        return
    args = parse(generator().load_command(words[1])[1], words[2:], command)
    options = getattr(args, "options", None) or getattr(args, "opts", None) or ()
    load(getattr(args, "config_file", None), options, command)


def check_python(words, command):
    script = ROOT / words[1]
    assert script.is_file(), f"{command}\nnames a script that does not exist"
    if words[1] == "train_net.py":
        from detectron2.engine import default_argument_parser

        args = parse(default_argument_parser(), words[2:], command)
        load(args.config_file, args.opts, command)
    elif words[1].startswith("datasets/prepare_"):
        from dvps_d2.formats.prepare.command import PREPARATIONS, _parser

        name = script.stem.removeprefix("prepare_")
        parse(_parser(PREPARATIONS[name], ""), words[2:], command)
    elif words[1] == "datasets/make_street.py":
        parse(generator().load_command("make-street")[1], words[2:], command)
    else:
        told = script.read_text()
        for option in (word for word in words[2:] if word.startswith("--")):
            assert f'"{option}"' in told, f"{command}\n{words[1]} does not take {option}"


def check_make(words, command):
    makefile = (ROOT / "Makefile").read_text()
    for word in words[1:]:
        if "=" in word or "<" in word:
            assert re.search(rf"^{word.split('=')[0]}\b", makefile, re.M), command
            if "<" in word:  # words of explanation follow
                return
        else:
            assert re.search(rf"^{re.escape(word)}:", makefile, re.M), f"{command}\nno such target"


def check_pip(words, command):
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"(?:^|\s)(?:\.|dvps_d2)\[([\w,]+)\]", " ".join(words)):
        for name in extra.split(","):
            assert name in extras["optional-dependencies"], f"{command}\nthere is no extra {name}"


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_one_that_exists(command):
    # Scripts put what may be left out in brackets.
    words = [word.strip("[]") for word in command.words]
    if words[0] == "torchrun":
        place = next(i for i, word in enumerate(words) if word.endswith(".py"))
        words = ["python", *words[place:]]
    if words[0] in FOREIGN:
        return
    if words[:2] == ["python", "-m"]:
        assert words[2].split(".")[0] in ("dvps_d2", "pytest", "torch")
        return
    check = {"dvps": check_dvps, "python": check_python, "make": check_make, "pip": check_pip}
    check[words[0]](words, command)


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_a_config_begins_with_the_command_that_runs_it(path):
    trained = [command for command in commands_of_config(path) if "train_net.py" in command.text]
    assert [c for c in trained if name_of(path) in c.words], f"{name_of(path)} names no command"


def test_commands_are_found():
    told = {command.words[0] for command in COMMANDS}
    assert {"dvps", "python", "make", "pip", "torchrun"} <= told
    assert len(COMMANDS) > 60


CODE = [path for path in DOCUMENTS if code_in(path) and path.parent != ROOT / "datasets"]


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_the_code_of_a_page_runs(path, street_root, tmp_path):
    """All blocks of a page in one process, one after the other, with a small street at hand."""
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "street").symlink_to(street_root)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("DETECTRON2_DATASETS", None)
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(code_in(path))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]


def test_the_code_of_own_data_runs(tmp_path, monkeypatch):
    """The two lines that write labels and depth, on a frame of the reader's."""
    import numpy as np

    monkeypatch.chdir(tmp_path)
    (block,) = code_in(ROOT / "datasets" / "README.md")
    exec(block, {"ids": np.array([[7, 9]]), "metres": np.array([[1.5, 0]])})
    assert (tmp_path / "labels/garden/0001.png").is_file()
    assert (tmp_path / "depth/garden/0001.png").is_file()


def headings(path):
    """Anchors of the headings of a document, as GitHub and MkDocs make them."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
    found = re.findall(r"^#+ (.+)$", text, re.M)
    plain = [re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in found]
    return {re.sub(r"\s", "-", heading) for heading in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        place = path.parent / file if file else path
        assert place.exists(), f"{name_of(path)}: {target} does not exist"
        if anchor and place.suffix == ".md":
            assert anchor in headings(place), f"{name_of(path)}: {target}: no such heading"


def test_every_document_is_reached_from_the_overview():
    index = (ROOT / "docs/index.md").resolve()
    reached, waiting = set(), [index]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        for target in re.findall(r"\]\(([^)\s#]+)", path.read_text("utf-8")):
            if "://" not in target and (path.parent / target).is_file():
                waiting.append((path.parent / target).resolve())
    pages = {path for path in DOCUMENTS if path.parent.name != "api"}
    assert {name_of(path) for path in pages - reached} == set()


def test_generated_pages_are_what_the_code_says():
    written = (ROOT / "docs/configuration.md").read_text("utf-8")
    assert written == generator().configuration(), "docs/configuration.md is old: run `make docs`"
    written = (ROOT / "docs/command_line.md").read_text("utf-8")
    for name in generator().COMMANDS:
        assert f"## dvps {name}\n" in written, "docs/command_line.md is old: run `make docs`"
        for action in generator().load_command(name)[1]._actions:
            for option in action.option_strings:
                told = f"docs/command_line.md lacks {option} of dvps {name}: run `make docs`"
                assert option in written, told


def test_keys_are_those_of_the_config_with_their_comments():
    from detectron2.config import get_cfg
    from detectron2.projects.deeplab import add_deeplab_config

    from dvps_d2.d2 import add_dvps_config

    def flat(node, prefix=""):
        for key, value in node.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value

    base = get_cfg()
    add_deeplab_config(base)
    ours = base.clone()
    add_dvps_config(ours)
    new = dict(flat(ours)).keys() - dict(flat(base)).keys()
    source = (ROOT / "dvps_d2/d2/config.py").read_text("utf-8")
    documented = {key: comment for key, _, comment in generator().config_keys(source)}
    assert new <= documented.keys()
    assert [key for key in new if not documented[key]] == []


def test_a_loaded_command_brings_its_parser():
    parser = generator().load_command("score")[1]
    assert isinstance(parser, argparse.ArgumentParser)
    assert parser.prog == "dvps score"


def test_the_site_builds_without_a_warning(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (pip install '.[docs]')")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    page = (tmp_path / "api" / "pipeline" / "index.html").read_text("utf-8")
    assert "A video cut" in page  # a docstring
    overview = Path(tmp_path, "index.html").read_text("utf-8")
    assert 'href="own_data/"' in overview
