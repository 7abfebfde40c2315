"""What this machine computes with."""

from __future__ import annotations

import pytest
import torch

from erc.base import devices


@pytest.mark.parametrize("instruction", ["avx512_bf16", "amx_bf16", "bf16"])
def test_precision_follows_the_hardware_and_no_clock(instruction, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, instruction: True})
    assert devices.precision("auto", 768, on_gpu=False) == "bf16-mixed"
    assert devices.precision("auto", 64, on_gpu=False) == "32-true"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, instruction: False})
    assert devices.precision("auto", 768, on_gpu=False) == "32-true"
    assert devices.precision("16-mixed", 768, on_gpu=False) == "16-mixed"


def test_precision_of_a_gpu(monkeypatch):
    for native, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, n=native, **__: n)
        assert devices.precision("auto", 0, on_gpu=True) == expected


def test_malloc_is_left_alone_when_asked(monkeypatch):
    monkeypatch.setenv("ERC_MALLOC", "system")
    assert not devices.tune_memory()
