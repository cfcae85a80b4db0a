"""The loop, its hooks and the step."""

import logging

import pytest
import torch
from torch import nn

from detectron2.engine import AMPTrainer, HookBase, SimpleTrainer, TrainerBase, hooks


class Quadratic(nn.Module):
    """Two losses, p ** 2 times the batch, and 0."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.tensor([1.0]))

    def forward(self, x):
        return {"loss_a": (self.p**2).sum() * x, "loss_b": self.p.sum() * 0}


class OneLoss(Quadratic):
    """One loss that is not in a dict."""

    def forward(self, x):
        return super().forward(x)["loss_a"]


def make_trainer(model=None, batches=(1.0,) * 50, cls=SimpleTrainer, **kwargs):
    model = model or Quadratic()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return cls(model, list(batches), optimizer, **kwargs)


class Diary(HookBase):
    """Writes down when it is called."""

    def __init__(self):
        self.pages = []

    def _write(self, what):
        self.pages.append((what, self.trainer.iter))

    def before_train(self):
        self._write("before_train")

    def after_train(self):
        self._write("after_train")

    def before_step(self):
        self._write("before_step")

    def after_backward(self):
        self._write("after_backward")

    def after_step(self):
        self._write("after_step")


def test_order_of_hooks():
    trainer, diary = make_trainer(), Diary()
    trainer.register_hooks([None, diary])
    trainer.train(3, 5)
    assert diary.pages == [
        ("before_train", 3),
        *(
            (what, iteration)
            for iteration in (3, 4)
            for what in ("before_step", "after_backward", "after_step")
        ),
        ("after_train", 5),
    ]
    assert trainer.start_iter == 3
    assert trainer.iter == trainer.max_iter == 5


def test_the_trainer_learns_and_logs():
    model = Quadratic()
    trainer = make_trainer(model)
    trainer.train(0, 2)
    assert model.p.item() == pytest.approx(0.8**2)  # p - 0.1 * 2 p, twice
    latest = trainer.storage.latest()
    assert latest["loss_a"] == (pytest.approx(0.64), 1)
    assert latest["total_loss"][0] == pytest.approx(0.64)
    assert set(latest) == {"loss_a", "loss_b", "total_loss", "data_time", "rank_data_time"}


def test_a_single_loss_is_the_total():
    trainer = make_trainer(OneLoss())
    trainer.train(0, 1)
    assert set(trainer.storage.latest()) == {"total_loss", "data_time", "rank_data_time"}


def test_metrics_every_few_iterations():
    trainer = make_trainer(gather_metric_period=3)
    trainer.train(0, 7)
    iterations = [i for _, i in trainer.storage.history("total_loss").values()]
    assert iterations == [2, 5]


def test_metrics_in_a_thread():
    trainer = make_trainer(async_write_metrics=True)
    trainer.train(0, 3)
    assert [i for _, i in trainer.storage.history("total_loss").values()] == [0, 1, 2]


class ShowsGradient(Quadratic):
    """Remembers whether gradients were there in the forward pass."""

    seen = None

    def forward(self, x):
        self.seen = self.p.grad is not None
        return super().forward(x)


@pytest.mark.parametrize("before", [True, False])
def test_when_gradients_are_cleared(before):
    model = ShowsGradient()
    make_trainer(model, zero_grad_before_forward=before).train(0, 2)
    assert model.seen is not before


def test_a_loss_that_is_not_finite_stops_before_the_step():
    model = Quadratic()
    trainer = make_trainer(model, batches=[float("nan")])
    with pytest.raises(FloatingPointError, match="Loss became infinite or NaN at iteration=0!"):
        trainer.train(0, 1)
    assert model.p.item() == 1.0


def test_the_loader_must_not_end():
    with pytest.raises(StopIteration):
        make_trainer(batches=[1.0]).train(0, 2)


def test_the_model_must_stay_in_training_mode():
    model = Quadratic().eval()
    trainer = make_trainer(model)
    assert model.training
    model.eval()
    with pytest.raises(AssertionError, match="model was changed to eval mode!"):
        trainer.train(0, 1)


class Breaks(HookBase):
    """Fails in iteration 1."""

    def after_step(self):
        if self.trainer.iter == 1:
            raise RuntimeError("broken")


def test_an_error_is_raised_and_after_train_still_runs():
    trainer, diary = make_trainer(), Diary()
    trainer.register_hooks([diary, Breaks()])
    with pytest.raises(RuntimeError, match="broken"):
        trainer.train(0, 5)
    assert diary.pages[-1] == ("after_train", 1)


class Remembers(HookBase):
    """A hook with a state."""

    def __init__(self, value):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def test_state_of_trainer_hooks_and_optimizer():
    trainer = make_trainer()
    trainer.register_hooks([Remembers(1), Remembers(2), Diary()])
    trainer.train(0, 3)
    state = trainer.state_dict()
    assert set(state) == {"iteration", "hooks", "optimizer"}
    assert state["iteration"] == 3
    assert state["hooks"] == {"Remembers": {"value": 1}}  # the first of its class
    other, hook = make_trainer(), Remembers(0)
    other.register_hooks([hook])
    other.load_state_dict(state)
    assert other.iter == 3
    assert hook.value == 1
    make_trainer().load_state_dict(state)  # a state without its hook is only a warning


def test_hooks_must_be_hooks():
    with pytest.raises(AssertionError):
        TrainerBase().register_hooks([print])


def test_mixed_precision_needs_cuda():
    trainer = make_trainer(cls=AMPTrainer, precision=torch.bfloat16)
    assert set(trainer.state_dict()) == {"iteration", "optimizer", "grad_scaler"}
    if torch.cuda.is_available():
        pytest.skip("there is CUDA")
    with pytest.raises(AssertionError, match="CUDA is required for AMP training!"):
        trainer.train(0, 1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_mixed_precision_learns():
    model = Quadratic().cuda()
    trainer = make_trainer(model, cls=AMPTrainer, log_grad_scaler=True)
    trainer.train(0, 2)
    assert model.p.item() == pytest.approx(0.64, rel=1e-2)
    assert "[metric]grad_scaler" in trainer.storage.latest()


def test_callback_hook():
    calls = []
    trainer = make_trainer()
    trainer.register_hooks(
        [
            hooks.CallbackHook(
                before_train=lambda t: calls.append("start"),
                after_step=lambda t: calls.append(t.iter),
                after_train=lambda t: calls.append("end"),
            )
        ]
    )
    trainer.train(0, 2)
    assert calls == ["start", 0, 1, "end"]


def test_timer_logs_after_its_warmup():
    trainer = make_trainer()
    trainer.register_hooks([hooks.IterationTimer(warmup_iter=3)])
    trainer.train(0, 5)
    assert [i for _, i in trainer.storage.history("time").values()] == [2, 3, 4]


def test_rate_is_logged_before_it_changes():
    trainer = make_trainer()
    scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1, gamma=0.5)
    hook = hooks.LRScheduler(scheduler=scheduler)
    trainer.register_hooks([hook])
    trainer.train(0, 3)
    rates = [rate for rate, _ in trainer.storage.history("lr").values()]
    assert rates == pytest.approx([0.1, 0.05, 0.025])
    assert trainer.state_dict()["hooks"]["LRScheduler"]["last_epoch"] == 3


@pytest.mark.parametrize(
    ("sizes", "rates", "expected"),
    [
        ([1, 3, 2], [1.0, 2.0, 3.0], 1),
        ([1, 1, 1], [1.0, 2.0, 2.0], 1),
    ],
)
def test_the_rate_that_stands_for_all(sizes, rates, expected):
    groups = [
        {"params": [nn.Parameter(torch.zeros(1)) for _ in range(size)], "lr": rate}
        for size, rate in zip(sizes, rates, strict=True)
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    assert hooks.LRScheduler.get_best_param_group_id(optimizer) == expected


def test_evaluation_times_and_names():
    times = []

    def evaluate():
        times.append(trainer.iter)
        return {"task": {"metric": 1, "sub": {"x": float("nan")}}}

    trainer = make_trainer()
    trainer.register_hooks([hooks.EvalHook(2, evaluate)])
    trainer.train(0, 4)
    assert times == [1, 4]
    assert trainer.storage.latest()["task/metric"] == (1.0, 4)
    assert "task/sub/x" in trainer.storage.latest()
    assert not trainer.storage.smoothing_hints()["task/metric"]


@pytest.mark.parametrize(("period", "after", "expected"), [(0, True, [3]), (0, False, [])])
def test_evaluation_only_at_the_end_or_never(period, after, expected):
    times = []
    trainer = make_trainer()
    trainer.register_hooks([hooks.EvalHook(period, lambda: times.append(trainer.iter), after)])
    trainer.train(0, 3)
    assert times == expected


@pytest.mark.parametrize("value", [None, "high"])
def test_results_must_be_numbers(value):
    trainer = make_trainer()
    trainer.register_hooks([hooks.EvalHook(1, lambda: {"k": value})])
    message = r"\[EvalHook\] eval_function should return a nested dict of float. Got 'k: "
    with pytest.raises(ValueError, match=message + str(value)):
        trainer.train(0, 2)


class Saves:
    """A checkpointer that only counts."""

    def __init__(self):
        self.saved = []

    def save(self, name, **extra):
        self.saved.append((name, extra["iteration"]))


@pytest.mark.parametrize(
    ("mode", "scores", "expected"),
    [
        ("max", [3.0, 7.0, 5.0], [0, 1]),
        ("min", [3.0, 7.0, 2.0], [0, 3]),
        ("max", [float("nan"), 1.0, 2.0], [1, 3]),
    ],
)
def test_best_model(mode, scores, expected):
    saves, values = Saves(), iter(scores)
    trainer = make_trainer()
    trainer.register_hooks(
        [
            hooks.EvalHook(1, lambda: {"task": {"score": next(values)}}),
            hooks.BestCheckpointer(1, saves, "task/score", mode),
        ]
    )
    trainer.train(0, 3)
    assert saves.saved == [("model_best", iteration) for iteration in expected]


def test_best_model_of_an_unknown_mode_or_metric():
    with pytest.raises(AssertionError, match='Mode "avg" to `BestCheckpointer` is unknown'):
        hooks.BestCheckpointer(1, Saves(), "x", "avg")
    saves = Saves()
    trainer = make_trainer()
    trainer.register_hooks([hooks.BestCheckpointer(1, saves, "nothing")])
    trainer.train(0, 1)
    assert saves.saved == []


class Normed(nn.Module):
    """A batch norm over what comes in."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)

    def forward(self, x):
        return {"loss": self.norm(x).sum()}


def test_precise_batch_norm_averages_over_batches():
    batches = [torch.full((2, 1, 2, 2), value) for value in (2.0, 4.0)]
    model = Normed()
    trainer = make_trainer(model, batches=batches)
    trainer.register_hooks([hooks.PreciseBN(0, model, batches, 2)])
    trainer.train(0, 1)
    assert model.norm.running_mean.item() == pytest.approx(3.0)


def test_exceptions_are_logged():
    messages = []

    class Handler(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler, logger = Handler(), logging.getLogger("detectron2.engine.train_loop")
    logger.addHandler(handler)
    with pytest.raises(StopIteration):
        make_trainer(batches=[]).train(0, 1)
    logger.removeHandler(handler)
    assert any("Exception during training" in message for message in messages)
