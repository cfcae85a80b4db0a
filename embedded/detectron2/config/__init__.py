"""Configuration: `get_cfg`, `CfgNode` and the bridge from it to constructors, `configurable`."""

from detectron2._subset import absent as _absent

from .config import CfgNode, configurable, get_cfg, global_cfg, set_global_cfg

LazyCall = _absent("detectron2.config.LazyCall")
LazyConfig = _absent("detectron2.config.LazyConfig")
instantiate = _absent("detectron2.config.instantiate")
downgrade_config = _absent("detectron2.config.downgrade_config")
upgrade_config = _absent("detectron2.config.upgrade_config")

__all__ = [
    "CfgNode",
    "LazyCall",
    "LazyConfig",
    "configurable",
    "downgrade_config",
    "get_cfg",
    "global_cfg",
    "instantiate",
    "set_global_cfg",
    "upgrade_config",
]
