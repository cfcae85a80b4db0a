"""configurable: constructors and functions called with a config."""

import pytest

from detectron2.config import CfgNode, configurable


class Head:
    @configurable
    def __init__(self, channels, *, norm="BN", extra=None):
        self.arguments = (channels, norm, extra)

    @classmethod
    def from_config(cls, cfg, channels=1):
        return {"channels": channels * cfg.FACTOR, "norm": cfg.NORM}


class SmallHead(Head):
    @classmethod
    def from_config(cls, cfg, channels=1):
        return {**super().from_config(cfg, channels), "norm": "small"}


class WideHead(Head):
    @configurable
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    @classmethod
    def from_config(cls, cfg, **kwargs):
        return {"width": 9, **super().from_config(cfg, **kwargs)}


@pytest.fixture
def cfg():
    return CfgNode({"FACTOR": 10, "NORM": "GN"})


def test_plain_calls():
    assert Head(3).arguments == (3, "BN", None)
    assert Head(channels=3, norm="", extra=1).arguments == (3, "", 1)


def test_calls_with_a_config(cfg):
    assert Head(cfg).arguments == (10, "GN", None)
    assert Head(cfg, 3).arguments == (30, "GN", None)
    assert Head(cfg=cfg, channels=3).arguments == (30, "GN", None)


def test_unknown_keywords_override_the_config(cfg):
    assert Head(cfg, 3, norm="LN", extra=2).arguments == (30, "LN", 2)


def test_subclasses_override_from_config(cfg):
    assert SmallHead(cfg, 2).arguments == (20, "small", None)
    head = WideHead(cfg, channels=2)
    assert (head.width, head.arguments) == (9, (20, "GN", None))


def test_functions(cfg):
    @configurable(from_config=lambda cfg, size: {"size": size + cfg.FACTOR})
    def build(size, name="x"):
        return size, name

    assert build(1) == (1, "x")
    assert build(cfg, 1) == (11, "x")
    assert build(cfg, size=1, name="y") == (11, "y")
    assert callable(build.from_config)


def test_a_missing_from_config(cfg):
    class Bad:
        @configurable
        def __init__(self, a):
            pass

    with pytest.raises(
        AttributeError, match="Class with @configurable must have a 'from_config' classmethod"
    ):
        Bad(cfg)


def test_from_config_must_be_a_classmethod(cfg):
    class Bad:
        @configurable
        def __init__(self, a):
            pass

        def from_config(self, cfg):
            return {}

    with pytest.raises(TypeError, match="must have a 'from_config' classmethod"):
        Bad(cfg)


def test_from_config_must_take_cfg_first(cfg):
    class Bad:
        @configurable
        def __init__(self, a):
            pass

        @classmethod
        def from_config(cls, config):
            return {}

    with pytest.raises(
        TypeError, match=r"Bad'>.from_config must take 'cfg' as the first argument!"
    ):
        Bad(cfg)


def test_other_uses_are_refused():
    with pytest.raises(AssertionError):

        @configurable
        def not_a_constructor(cfg):
            pass
