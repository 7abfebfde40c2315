"""What the factorised trilinear embedding costs beside the materialised one: time and peak memory.

    python bench/trilinear.py [--batch 8] [--rank 64]

Every case runs in a process of its own, forward and backward, one thread; memory is the peak
resident size less that of the process before its first pass. "–" marks what was refused: more than
`LIMIT` bytes for the product alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

CASES = [(64, 16), (128, 32), (256, 64)]  # dim, side of a cube; 64 cubes each
FORMS = ("materialised", "rank=None", "rank")
REPEATS = 5
LIMIT = 1 << 30


def measure(form: str, dim: int, patch: int, rank: int, batch: int) -> dict[str, float]:
    """Milliseconds (median) and MB of one case, in this process."""
    import torch

    from erc.model.fusion import Trilinear

    torch.manual_seed(0)
    torch.set_num_threads(1)
    fusion = Trilinear(dim, patch_size=patch, rank=None if form == "rank=None" else rank, depth=0)
    u, v, w = (torch.randn(batch, dim, requires_grad=True) for _ in range(3))
    embed = fusion.embed_materialised if form == "materialised" else fusion.embed
    for p in fusion.parameters():
        p.grad = torch.zeros_like(p)  # theirs whatever the form
    before = peak()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        embed(u, v, w).square().mean().backward()
        times.append(1000 * (time.perf_counter() - start))
    return {"ms": sorted(times)[REPEATS // 2], "MB": peak() - before}


def peak() -> float:
    """Peak resident size of this process, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        form, dim, patch = given.case
        print(json.dumps(measure(form, int(dim), int(patch), given.rank, given.batch)))
        return
    print(f"batch {given.batch}, rank {given.rank}, D = 64, forward and backward, one thread")
    for dim, patch in CASES:
        for form in FORMS:
            name = f"rank={given.rank}" if form == "rank" else form
            row = f"dim {dim:4d}  cube {patch:3d}³  {name:14s}"
            if form == "materialised" and 4 * given.batch * dim**3 > LIMIT:
                print(f"{row}        –          –")
                continue
            options = ["--batch", str(given.batch), "--rank", str(given.rank)]
            command = [sys.executable, __file__, *options, "--case", form, str(dim), str(patch)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found = json.loads(done.stdout)
            print(f"{row} {found['ms']:8.1f} ms {found['MB']:7.0f} MB", flush=True)


if __name__ == "__main__":
    main()
