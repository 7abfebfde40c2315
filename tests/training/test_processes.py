"""Two processes on the CPU train what one trains."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from erc.datasets.batches import BucketSampler
from erc.scores.scored import read
from erc.studies.experiment import run as train
from erc.training.processes import ALONE

WORDS = [
    "model=tiny", "model.freeze_speech=true", "model.freeze_text=true", "dataset.protocol=strict",
    "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.max_epochs=2",
    "trainer.log_every_n_steps=1", "trainer.enable_progress_bar=false", "dataloader.batch_size=5",
    "model.reg_loss=both", "export=false",
]  # fmt: skip
STILL = ["model.dropout=0", "model.modality_dropout=0"]
DRIVER = """
import os, sys
from erc.base.errors import one_line_errors
from erc.training.config import compose
from erc.training.run import train
from erc.training.task import EmotionTask

rank, at, number = map(int, os.environ.get("STOP", "-1 -1 0").split())
step = EmotionTask.training_step

def stopped(self, batch, index):
    if (self.share.rank, self.global_step) == (rank, at):
        os.kill(os.getpid(), number)
    return step(self, batch, index)

EmotionTask.training_step = stopped
with one_line_errors():
    train(compose(sys.argv[1:]))
"""


GRADIENT = """
import torch
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel
from erc.training.processes import Share

dist.init_process_group("gloo")
share = Share(dist.get_rank(), dist.get_world_size())
torch.manual_seed(0)
layer, x, known = torch.nn.Linear(3, 1).double(), torch.randn(7, 3).double(), torch.arange(7) > 2

def ccc_loss(said, there):  # a loss that is no mean over rows
    said, truth = said[there, 0], x[there].pow(2).sum(1)
    both = ((said - said.mean()) * (truth - truth.mean())).mean()
    spread = said.var(unbiased=False) + truth.var(unbiased=False)
    return 1 - 2 * both / (spread + (said.mean() - truth.mean()) ** 2)

expected = torch.autograd.grad(ccc_loss(layer(x), known), list(layer.parameters()))
mine = slice(share.rank, None, share.count)
shared = DistributedDataParallel(layer)
said, there, rows = share.gather(shared(x[mine]), known[mine], torch.arange(2**40, 2**40 + 7)[mine])
assert there.dtype == torch.bool and torch.equal(there, known)
assert torch.equal(rows, torch.arange(2**40, 2**40 + 7))
ccc_loss(said, there).backward()
for found, should in zip(layer.parameters(), expected):
    torch.testing.assert_close(found.grad, should)
print("equal")
"""


def together(
    place: Path, words: list[str], stop: str | None = None, processes: int = 2, text: str = DRIVER
):
    """The training in several processes; `stop`: rank, step and number of a signal."""
    driver = place / "driver.py"
    driver.write_text(text)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        f"--nproc-per-node={processes}", f"--log-dir={place}", str(driver), *words,
    ]  # fmt: skip
    given = os.environ | {"OMP_NUM_THREADS": "1"} | ({"STOP": stop} if stop else {})
    return subprocess.run(command, capture_output=True, text=True, env=given, timeout=300)


@pytest.mark.parametrize("budget", [None, 9.0])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_processes_share_every_batch_and_nothing_is_lost(count, budget):
    lengths = np.random.default_rng(0).uniform(1, 5, 41)

    def epoch(rank: int, of: int) -> list[list[int]]:
        sampler = BucketSampler(lengths, 5, seed=3, budget=budget, share=(rank, of))
        sampler.set_epoch(2)
        return list(sampler)

    whole = epoch(0, 1)
    shares = [epoch(rank, count) for rank in range(count)]
    assert {len(share) for share in shares} == {len(whole)}  # as many steps for everybody
    seen = []
    for batch, *parts in zip(whole, *shares, strict=True):
        rows = [row for i in range(len(parts[0])) for part in parts for row in part[i : i + 1]]
        assert all(parts)
        copies = len(rows) // len(batch)
        assert rows == batch * copies  # in its order; repeated as a whole if it is small
        assert copies == 1 or len(batch) < count
        seen += batch
    assert sorted(seen) == list(range(41))


def test_alone_everything_is_as_it_was():
    rows = torch.arange(3.0, requires_grad=True)
    assert ALONE.gather(rows)[0] is rows
    assert ALONE.most(3) == 3
    assert ALONE.all("x") == ["x"]
    with ALONE.in_turn():
        pass


def test_the_gradient_is_that_of_the_whole_batch(tmp_path):
    """Three processes, shares of 3, 2 and 2 rows, a loss of moments."""
    found = together(tmp_path, [], processes=3, text=GRADIENT)
    assert found.stdout.count("equal") == 3, found.stderr  # lines of processes may run together


def rows_of(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open() as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def one(kemdy19, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("one") / "run"
    train([*WORDS, *STILL, f"dataset.paths={kemdy19}"], place)
    return place


def assert_same_training(one: Path, run: Path) -> None:
    ours, theirs = rows_of(one), rows_of(run)
    assert len(ours) == len(theirs) > 10
    for a, b in zip(ours, theirs, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    # Weights whose true gradient is 0 (biases before a softmax) follow the rounding: Adam makes steps of
    # it. What is said of the test side is what counts.
    a, b = (read(place / "predictions.csv") for place in (one, run))
    assert list(a) == list(b)
    for system, said in a.items():
        np.testing.assert_allclose(said.probabilities, b[system].probabilities, atol=2e-5)
        np.testing.assert_allclose(said.dimensions, b[system].dimensions, atol=1e-4)


def test_two_processes_train_what_one_trains(one, kemdy19, tmp_path):
    run = tmp_path / "run"
    found = together(tmp_path, [*WORDS, *STILL, f"dataset.paths={kemdy19}", f"run_dir={run}"])
    assert found.returncode == 0, found.stderr
    assert found.stdout.count("try: erc predict") == 1  # one of them speaks
    assert_same_training(one, run)
    assert (run / "config.yaml").read_text().count("devices: 2") == 1


@pytest.fixture
def hosts() -> Iterator[list[list[str]]]:
    """Two network namespaces with a cable between them: what to write before a command to run it there.

    Neither sees a network card, an address or a port of the other, as on two machines.
    """
    names = [f"erc{os.getpid()}{end}" for end in "ab"]
    if os.getuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    commands = [f"netns add {name}" for name in names]
    commands += [f"link add {names[0]} netns {names[0]} type veth peer {names[1]} netns {names[1]}"]
    for number, name in enumerate(names, 1):
        commands += [f"-n {name} addr add 10.77.0.{number}/24 dev {name}"]
        commands += [f"-n {name} link set {device} up" for device in (name, "lo")]
    try:
        for command in commands:
            found = subprocess.run(["ip", *command.split()], capture_output=True, text=True)
            if found.returncode:
                pytest.skip(f"no network namespaces here: {found.stderr.strip()}")
        yield [["ip", "netns", "exec", n, "env", f"GLOO_SOCKET_IFNAME={n}"] for n in names]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.slow
def test_two_hosts_train_what_one_trains(hosts, one, kemdy19, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "driver.py").write_text(DRIVER)
    command = [
        "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-endpoint=10.77.0.1:29500",
        "--rdzv-id=erc", str(tmp_path / "driver.py"), *WORDS, *STILL, f"dataset.paths={kemdy19}",
        f"run_dir={run}",
    ]  # fmt: skip
    given = os.environ | {"OMP_NUM_THREADS": "1"}
    logs = [tmp_path / f"host{k}.txt" for k in range(2)]
    started = []
    for k, (host, log) in enumerate(zip(hosts, logs, strict=True)):
        # Both have the name of this machine, by which torchrun would tell who and where they are.
        who = [f"--rdzv-conf=is_host={1 - k}", f"--local-addr=10.77.0.{k + 1}"]
        words = [*host, sys.executable, "-m", "torch.distributed.run", *who, *command]
        with log.open("w") as out:
            started += [subprocess.Popen(words, env=given, stdout=out, stderr=out)]
    try:
        codes = [process.wait(timeout=200) for process in started]
    finally:
        for process in started:
            process.kill()
    said = [log.read_text() for log in logs]
    assert codes == [0, 0], "\n".join(said)
    assert "".join(said).count("try: erc predict") == 1
    assert_same_training(one, run)
    assert "num_nodes: 2" in (run / "config.yaml").read_text()


def test_more_processes_than_were_started_are_refused(kemdy19, tmp_path, monkeypatch):
    from erc.base.errors import ConfigError

    with pytest.raises(ConfigError, match="torchrun --nproc-per-node 2"):
        train([*WORDS, f"dataset.paths={kemdy19}", "trainer.devices=2"], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_a_stopped_process_stops_all_and_the_run_goes_on_to_the_same_bits(stop, kemdy19, tmp_path):
    """With dropout, which each process draws for itself."""
    words = [*WORDS, f"dataset.paths={kemdy19}", "checkpoint_every=1"]
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert together(tmp_path, [*words, f"run_dir={whole}"]).returncode == 0
    found = together(tmp_path, [*words, f"run_dir={run}"], stop=f"1 7 {int(stop)}")
    assert found.returncode != 0
    assert not (run / "results.json").exists()
    found = together(tmp_path, [*words, f"run_dir={run}", f"ckpt_path={run}"])
    assert found.returncode == 0, found.stderr
    a, b = (load_file(place / "model" / "model.safetensors") for place in (whole, run))
    for name, weight in a.items():
        assert torch.equal(weight, b[name]), name
    assert rows_of(whole) == rows_of(run)


@pytest.mark.slow
def test_other_numbers_of_processes_do_not_go_on(kemdy19, tmp_path):
    words = [*WORDS, f"dataset.paths={kemdy19}", f"run_dir={tmp_path / 'run'}"]
    assert together(tmp_path, words, stop=f"0 3 {int(signal.SIGTERM)}").returncode != 0
    again = together(tmp_path, [*words, f"ckpt_path={tmp_path / 'run'}"], processes=3)
    assert again.returncode != 0
    assert "trainer.devices: 2 there, 3 here" in again.stderr
