"""A training that is stopped and goes on is the one that was never stopped: on real, small trainings."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import lightning as L
import pytest
import torch
from filelock import FileLock

from erc.base.errors import CheckpointError, ConfigError, TrainingError
from erc.base.files import UNFINISHED
from erc.training import checkpoints, resume
from erc.training.assembly import Assembly
from erc.training.config import compose
from erc.training.run import Training

WORDS = [
    "model=tiny", "model.freeze_speech=true", "model.freeze_text=true", "dataset.protocol=strict",
    "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=2",
    "trainer.log_every_n_steps=2", "trainer.enable_progress_bar=false", "dataloader.batch_size=4",
]  # fmt: skip
STEPS = 6  # an epoch of 24 utterances


class Signal(L.Callback):
    """Send this process a signal in the middle of a step."""

    def __init__(self, step: int, number: int):
        self.step, self.number = step, number

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if trainer.fit_loop.total_batch_idx + 1 == self.step:
            os.kill(os.getpid(), self.number)


@pytest.fixture(scope="module")
def prepare(kemdy19):
    """A training, ready; `stop`: (step, signal)."""

    def ready(run: Path, *words: str, stop: tuple[int, int] | None = None) -> Training:
        cfg = compose([f"dataset.paths={kemdy19}", *WORDS, f"run_dir={run}", *words])
        L.seed_everything(cfg.seed, verbose=False)
        parts = Assembly(cfg)
        training = Training(parts, run)
        training.trainer.callbacks.extend([Signal(*stop)] if stop else [])
        return training

    return ready


@pytest.fixture(scope="module")
def whole(prepare, tmp_path_factory):
    """Folder of a training that was never stopped."""
    run = tmp_path_factory.mktemp("whole")
    prepare(run).fit()
    return run


def stopped(prepare, run, *words, step, number=signal.SIGTERM):
    """Where a training stops that gets a signal in this step."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where the suite runs behind `&`
    with pytest.raises(checkpoints.Stopped) as caught:
        prepare(run, *words, stop=(step, number)).fit()
    assert caught.value.code == 128 + number
    return resume.read(run / "checkpoints" / "last.ckpt")["erc"]["place"]


def differ(a, b, name=""):
    """Names of what is not bit for bit the same in nested values."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = a.keys() | b.keys()
        return [x for k in keys for x in differ(a.get(k), b.get(k), f"{name}.{k}")]
    if isinstance(a, list | tuple) and len(a) == len(b):
        return [
            x
            for i, (p, q) in enumerate(zip(a, b, strict=True))
            for x in differ(p, q, f"{name}.{i}")
        ]
    same = torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b or (a != a and b != b)
    return [] if same else [name]


def compare(one, other):
    """Weights, optimiser, schedule, random generators, best score, metrics.csv: all of it."""
    last, best = (
        [torch.load(run / "checkpoints" / name, weights_only=True) for run in (one, other)]
        for name in ("last.ckpt", "best.ckpt")
    )
    assert not differ(*last)
    assert not differ(*(found["state_dict"] for found in best))
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()


@pytest.mark.parametrize(
    ("step", "number", "place"),
    [(2, signal.SIGINT, (0, 2)), (STEPS, signal.SIGTERM, (1, 0)), (11, signal.SIGTERM, (1, 5))],
)
def test_stopped_at_any_step_it_goes_on_to_the_same_bits(
    prepare, whole, tmp_path, capsys, step, number, place
):
    run = tmp_path / "run"
    assert stopped(prepare, run, step=step, number=number) == place
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"stopped by {signal.Signals(number).name} after step {step}; go on with" in said
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    again = run if number == signal.SIGINT else tmp_path / "elsewhere"
    prepare(again, f"ckpt_path={run}").fit()
    compare(whole, again)


@pytest.mark.parametrize(
    "words",
    [
        ("scheduler=reduce_plateau", "scheduler.patience=0", "trainer.val_check_interval=0.5"),
        ("trainer.accumulate_grad_batches=4", "trainer.max_steps=3", "trainer.max_epochs=-1"),
    ],
)
def test_so_do_other_schedules_validations_and_accumulated_steps(prepare, tmp_path, words):
    prepare(tmp_path / "whole", *words).fit()
    assert stopped(prepare, tmp_path / "run", *words, step=4) == (0, 4)
    prepare(tmp_path / "run", *words, f"ckpt_path={tmp_path / 'run'}").fit()
    compare(tmp_path / "whole", tmp_path / "run")


def test_a_training_that_gave_up_early_does_not_go_on(prepare, tmp_path):
    words = ("early_stopping.patience=1", "trainer.max_epochs=9", "module.lr=0.1")
    one = prepare(tmp_path / "run", *words)
    one.fit()
    assert STEPS < one.trainer.global_step < 9 * STEPS
    again = prepare(tmp_path / "run", *words, f"ckpt_path={tmp_path / 'run'}")
    again.fit()
    assert again.trainer.global_step == one.trainer.global_step


def test_the_last_checkpoint_is_of_the_last_epoch_and_the_best_of_the_best(whole):
    last, best = (
        torch.load(whole / "checkpoints" / name, weights_only=True)
        for name in ("last.ckpt", "best.ckpt")
    )
    assert (last["epoch"], last["global_step"]) == (1, 2 * STEPS)
    rows = last["erc"]["metrics"][0]
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    assert last["erc"]["best"] == min(losses)
    assert best["global_step"] == STEPS * (1 + losses.index(min(losses)))
    assert "optimizer_states" not in best


def test_other_settings_are_refused_by_name(prepare, whole, tmp_path):
    words = ["seed=7", "module.lr=0.5", "module.weight_decay=0", "dataloader.batch_size=2",
             "model.target=hard", "dataset.validation_fold=1"]  # fmt: skip
    with pytest.raises(ConfigError, match="was made from something else") as caught:
        prepare(tmp_path, *words, f"ckpt_path={whole}")
    for key in (w.partition("=")[0] for w in words):
        assert f"{key}: " in str(caught.value)
    assert "resume_anyway=true" in str(caught.value)
    assert not list(tmp_path.rglob("*.ckpt"))
    with pytest.raises(CheckpointError, match=r"is of a model of other sizes .model\.dim: "):
        prepare(tmp_path, "model.dim=32", "resume_anyway=true", f"ckpt_path={whole}")


def test_what_was_passed_over_is_recorded_and_obeyed(prepare, whole, tmp_path):
    words = ["module.lr=0.5", "trainer.max_epochs=3", "scheduler=constant"]
    training = prepare(tmp_path, *words, "resume_anyway=true", f"ckpt_path={whole}")
    training.fit()
    assert training.trainer.optimizers[0].param_groups[0]["lr"] == 0.5
    kept = resume.read(tmp_path / "checkpoints" / "last.ckpt")
    assert kept["epoch"] == 2
    assert "trainer.max_epochs: 2 there, 3 here" in kept["erc"]["passed_over"]


def test_best_and_foreign_files_are_nothing_to_go_on_from(prepare, whole, tmp_path):
    for name, says in (
        ("best.ckpt", "goes on from a last.ckpt"),
        ("none.ckpt", "there is no file"),
    ):
        with pytest.raises(CheckpointError, match=says):
            prepare(tmp_path, f"ckpt_path={whole / 'checkpoints' / name}")
    (tmp_path / "cut.ckpt").write_bytes((whole / "checkpoints" / "last.ckpt").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="not a checkpoint of a training"):
        prepare(tmp_path, f"ckpt_path={tmp_path / 'cut.ckpt'}")


def test_a_checkpoint_is_the_old_one_or_the_new_one(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")  # Lightning's own would write there
    io, path = checkpoints.WholeFiles(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)
    real = torch.save

    def cut(value, file):
        real(value, file)
        file.truncate(100)
        try:
            raise OSError(28, "No space left on device")
        except OSError:  # as torch does when it closes what it cannot write
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904

    monkeypatch.setattr(torch, "save", cut)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        io.save_checkpoint({"step": 2}, path)
    assert resume.read(path) == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_what_the_killed_left_is_swept_and_two_do_not_train_in_one_folder(tmp_path):
    left = [f".{name}.abc_12de{UNFINISHED}" for name in ("last.ckpt", "metrics.csv")]
    for name in (*left, ".hydra"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    with resume.alone(tmp_path):
        assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [".hydra"]
    busy = pytest.raises(ConfigError, match="another process")
    with FileLock(tmp_path / ".training.lock"), busy, resume.alone(tmp_path):
        pass


def test_a_loss_that_is_no_number_ends_in_one_line(prepare, tmp_path):
    with pytest.raises(
        TrainingError, match=r"^the loss is nan in batch 1 of epoch 0, step 1: .*lr"
    ):
        prepare(tmp_path, "module.lr=1e30", "scheduler=constant").fit()
    with pytest.raises(TrainingError, match="answers nan in the validation of epoch 0, step 1"):
        prepare(
            tmp_path, "module.lr=1e30", "scheduler=constant", "trainer.limit_train_batches=1"
        ).fit()


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["trainer.max_epochs=3"], 3 * STEPS),
        (["trainer.max_epochs=-1", "trainer.max_steps=7"], 7),
        (["trainer.max_epochs=5", "trainer.limit_train_batches=2"], 10),
        (["trainer.max_epochs=5", "trainer.overfit_batches=3"], 15),
        (["trainer.max_epochs=2", "trainer.accumulate_grad_batches=4"], 4),
    ],
)
def test_the_schedule_ends_where_the_training_does(prepare, tmp_path, words, steps):
    """The learning rate rises, and falls to nearly nothing at the last step that is made."""
    training = prepare(tmp_path, *words)
    rate = []
    training.trainer.callbacks.append(Rate(rate))
    training.fit()
    assert training.trainer.global_step == len(rate) == steps
    assert max(rate) == pytest.approx(training.task.lr, rel=0.2)
    assert 0 < rate[-1] < 0.2 * training.task.lr or steps < 5


class Rate(L.Callback):
    """Note the learning rate of each step."""

    def __init__(self, found):
        self.found = found

    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.found.append(optimizer.param_groups[-1]["lr"])


def test_a_training_without_end_is_refused_where_the_schedule_needs_one(prepare, tmp_path):
    with pytest.raises(ConfigError, match=r"needs the end .*trainer\.max_steps"):
        prepare(tmp_path, "trainer.max_epochs=-1").fit()


def test_overfitting_sees_the_same_batches_in_each_epoch(prepare, tmp_path):
    sampler = prepare(tmp_path, "trainer.overfit_batches=2").keeper.sampler
    first = list(sampler)[:2]
    sampler.set_epoch(5)
    assert list(sampler)[:2] == first
