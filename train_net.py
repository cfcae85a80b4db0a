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
import warnings

# fvcore, which Detectron2 imports, still uses torch.jit.script; nothing that a user could change.
warnings.filterwarnings("ignore", message=".*torch.jit.script.*")

import detectron2
from detectron2.engine import default_argument_parser, default_setup

from dvps_d2.d2 import MultiScaleTesting, Trainer, load_config
from dvps_d2.d2.checkpoint import ModelCheckpointer
from dvps_d2.d2.distributed import run_distributed
from dvps_d2.d2.logs import log_to_console, log_to_folder

logger = logging.getLogger("dvps_d2")


def setup(args):
    """Defaults, config file and command line -> frozen config; logging and seeds."""
    if not args.config_file:
        raise SystemExit(
            "train_net.py: name a config, e.g. "
            "--config-file configs/experiments/street/mindvps_compact.yaml"
        )
    log_to_console()
    try:
        cfg = load_config(args.config_file, args.opts)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"train_net.py: {error}") from error
    if args.eval_only and not cfg.MODEL.WEIGHTS and not args.resume:
        raise SystemExit(
            "train_net.py: --eval-only needs a checkpoint: MODEL.WEIGHTS FILE, or --resume for the "
            "last one in OUTPUT_DIR"
        )
    cfg.freeze()
    log_to_folder(cfg.OUTPUT_DIR)
    default_setup(cfg, args)
    where = os.path.dirname(detectron2.__file__)
    logger.info("Detectron2 %s from %s", detectron2.__version__, where)
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
