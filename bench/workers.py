"""Variants that live in processes of their own, so that each has its allocator, and its memory.

fast = Worker("bench.encoder:ours", "bf16")     # imports, sets up, waits
fast()  → what the prepared function returns    # time this: a message to and fro costs 0.1 ms
fast.rss()  → MB
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
from typing import Any

from bench.isolated import high_water


class Worker:
    """A function made and called in a fresh process.

    Args:
        call: "module:function"; called there with `args` it returns the function to be measured.
    """

    def __init__(self, call: str, *args: Any):
        context = multiprocessing.get_context("spawn")
        self.here, there = context.Pipe()
        self.process = context.Process(target=_serve, args=(there, call, args), daemon=True)
        self.process.start()
        atexit.register(self.process.kill)  # whatever becomes of this process
        there.close()
        self._answer()

    def __call__(self) -> Any:
        self.here.send("call")
        return self._answer()

    def rss(self) -> float:
        """Highest resident size so far, MB."""
        self.here.send("rss")
        return self._answer()

    def close(self) -> None:
        """End the process and give its memory back."""
        self.here.close()
        self.process.kill()
        self.process.join()

    def _answer(self) -> Any:
        value = self.here.recv()
        if isinstance(value, Exception):
            raise value
        return value


def _serve(pipe: Any, call: str, args: tuple) -> None:
    module, _, name = call.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)(*args)
        pipe.send("ready")
        while True:
            pipe.send(function() if pipe.recv() == "call" else high_water())
    except EOFError:
        return
    except Exception as error:
        pipe.send(error)
        raise
