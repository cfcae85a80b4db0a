"""Training: the loop, its hooks, the standard program, and starting processes."""

from . import hooks as hooks
from . import train_loop
from .defaults import DefaultPredictor as DefaultPredictor
from .defaults import DefaultTrainer as DefaultTrainer
from .defaults import create_ddp_model as create_ddp_model
from .defaults import default_argument_parser as default_argument_parser
from .defaults import default_setup as default_setup
from .defaults import default_writers as default_writers
from .hooks import AutogradProfiler as AutogradProfiler
from .hooks import BestCheckpointer as BestCheckpointer
from .hooks import CallbackHook as CallbackHook
from .hooks import EvalHook as EvalHook
from .hooks import IterationTimer as IterationTimer
from .hooks import LRScheduler as LRScheduler
from .hooks import PeriodicCheckpointer as PeriodicCheckpointer
from .hooks import PeriodicWriter as PeriodicWriter
from .hooks import PreciseBN as PreciseBN
from .hooks import TorchMemoryStats as TorchMemoryStats
from .hooks import TorchProfiler as TorchProfiler
from .launch import DEFAULT_TIMEOUT, launch
from .train_loop import AMPTrainer, HookBase, SimpleTrainer, TrainerBase

# What a star import gives; the rest is imported by name, as in Detectron2.
__all__ = [
    "DEFAULT_TIMEOUT",
    "AMPTrainer",
    "HookBase",
    "SimpleTrainer",
    "TrainerBase",
    "launch",
    "train_loop",
]
