"""Poolings as a traced ONNX graph computes them, for other lengths than it saw."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from erc.model.pooling import POOLINGS


class Pool(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.pool = POOLINGS[name]

    def forward(self, frames, lengths):
        return self.pool(frames, lengths)


@pytest.mark.parametrize("name", ["mean", "mean_std", "mean_std_thirds"])
def test_a_traced_graph_pools_as_torch_does(name, tmp_path):
    """The quotient of a negative number was rounded towards 0: thirds lost their last frame."""
    frames, lengths = torch.randn(2, 6, 3), torch.tensor([6, 4])
    torch.onnx.export(
        Pool(name), (frames, lengths), tmp_path / "pool.onnx", dynamo=False,
        input_names=["frames", "lengths"], dynamic_axes={"frames": [0, 1], "lengths": [0]},
    )  # fmt: skip
    run = onnxruntime.InferenceSession(tmp_path / "pool.onnx").run
    for longest in (1, 2, 3, 7, 11):
        frames = torch.randn(longest + 1, longest, 3, generator=torch.Generator().manual_seed(0))
        lengths = torch.arange(longest + 1)
        [found] = run(None, {"frames": frames.numpy(), "lengths": lengths.numpy()})
        np.testing.assert_allclose(found, POOLINGS[name](frames, lengths), atol=1e-6)
