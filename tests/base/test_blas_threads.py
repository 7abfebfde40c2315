"""`one_blas_thread`: inside one thread, afterwards what there was."""

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from erc.base.devices import one_blas_thread


def threads() -> set[int]:
    np.eye(2) @ np.eye(2)
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_one_inside_and_then_as_before():
    with threadpool_limits(2, "blas"):
        assert threads() == {2}
        assert one_blas_thread()(threads)() == {1}
        assert threads() == {2}
