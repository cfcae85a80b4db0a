#!/usr/bin/env python
"""Train or evaluate a model.

    python train_net.py --config-file configs/experiments/street/mindvps_compact.yaml
    python train_net.py --config-file CONFIG --resume
    python train_net.py --config-file CONFIG --eval-only MODEL.WEIGHTS output/model_final.pth
    python train_net.py --config-file CONFIG --num-gpus 8 SOLVER.IMS_PER_BATCH 16
    torchrun --nproc-per-node 8 train_net.py --config-file CONFIG

Everything after the options overrides config keys. Datasets are looked for below
$DETECTRON2_DATASETS (default: datasets).
"""

import logging
import os

import detectron2
from detectron2.config import get_cfg
from detectron2.engine import default_argument_parser, default_setup
from detectron2.projects.deeplab import add_deeplab_config
from detectron2.utils.logger import setup_logger

from dvps_d2.d2 import MultiScaleTesting, Trainer, add_dvps_config
from dvps_d2.d2.build import resolve_device
from dvps_d2.d2.checkpoint import ModelCheckpointer
from dvps_d2.d2.distributed import run_distributed

logger = logging.getLogger("dvps_d2")


def setup(args):
    """Defaults, config file and command line -> frozen config; logging and seeds."""
    cfg = get_cfg()
    add_deeplab_config(cfg)
    add_dvps_config(cfg)
    if not args.config_file:
        raise SystemExit(
            "train_net.py: name a config, e.g. "
            "--config-file configs/experiments/street/mindvps_compact.yaml"
        )
    cfg.merge_from_file(args.config_file)
    cfg.merge_from_list(args.opts)
    wanted = cfg.MODEL.DEVICE
    cfg.MODEL.DEVICE = resolve_device(wanted)
    cfg.freeze()
    default_setup(cfg, args)
    setup_logger(output=cfg.OUTPUT_DIR, name="dvps_d2")
    where = os.path.dirname(detectron2.__file__)
    logger.info("Detectron2 %s from %s", detectron2.__version__, where)
    if cfg.MODEL.DEVICE != wanted:
        logger.info("MODEL.DEVICE is %s but there is no GPU: computing on the CPU", wanted)
    return cfg


def main(args):
    """Train, or evaluate what is there; returns the scores of an evaluation."""
    cfg = setup(args)
    if args.eval_only:
        model = Trainer.build_model(cfg)
        ModelCheckpointer(model, cfg.OUTPUT_DIR, complete=True).resume_or_load(
            cfg.MODEL.WEIGHTS, resume=args.resume
        )
        if cfg.TEST.AUG.ENABLED:
            model = MultiScaleTesting.from_config(cfg, model)
        return Trainer.test(cfg, model)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=args.resume)
    return trainer.train()


if __name__ == "__main__":
    run_distributed(main, default_argument_parser(epilog=__doc__).parse_args())
