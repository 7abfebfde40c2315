"""`erc predict --ray`: inputs → blocks → workers of a Ray cluster → a folder of Parquet parts."""

from __future__ import annotations

import math
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from erc.base.errors import ConfigError, optional
from erc.base.progress import progress
from erc.base.remote import is_url
from erc.base.terms import from_json, refuse
from erc.cli.predict_input import Input
from erc.cli.predict_parts import Parts
from erc.cli.predict_resume import alone
from erc.model.folder.learned import Learned
from erc.recognizer.bulk import BLOCK, Cluster, Task, cut, on_cluster
from erc.recognizer.public.opened import config_of

Say = Callable[[str, bool], None]


def spread(
    output: str, inputs: list[Input], folder: Path, model: str, settings: Mapping[str, Any],
    options: dict[str, Any], cluster: Cluster, overwrite: bool, say: Say,
) -> int:  # fmt: skip
    """Answer all inputs into the folder `output`, and return how many failed.

    Args:
        model: `NAME@VERSION` of the folder.
        settings: what the rows depend on; another run that has left parts had the same.
        options: arguments of `erc.load`, for the workers.
        say: (message, whether `--quiet` keeps it back) → stderr.

    Raises:
        ConfigError: no Ray, no cluster, or a folder that holds something else.
    """
    with optional("--ray"):
        import pyarrow  # noqa: F401
        import ray  # noqa: F401
    config = config_of(folder)
    if options.get("commercial"):
        refuse(from_json(config["meta"].get("terms")), f"the model {folder}")
    blocks = math.ceil(len(inputs) / BLOCK)
    with ExitStack() as stack:
        if not is_url(output):
            stack.enter_context(alone(output))
        parts = Parts(output, {**settings, "block": BLOCK}, blocks, overwrite)
        if not parts.missing:
            say(f"{output} is complete ({parts.rows} rows): nothing to do", True)
            return parts.failures
        if parts.rows:
            say(f"{output}: going on after {parts.rows} of {len(inputs)} rows", True)
        if warning := Learned.of(config).warning():
            say(warning, False)
        arguments = [_absolute(one).arguments() for one in inputs]
        waiting = [pickle.dumps(cut(arguments, number)) for number in parts.missing]
        task = Task(folder.absolute(), model, parts.made_from, options)
        try:
            with progress("recordings", len(inputs), False, parts.rows) as advance:
                done = stack.enter_context(closing(on_cluster(waiting, task, cluster)))
                for part in done:
                    for error in part.errors:
                        say(error, False)
                    parts.put(part)
                    advance(part.rows)
        except KeyboardInterrupt:
            kept = f"{parts.rows} of {len(inputs)} rows are kept, the same command goes on there"
            print(f"stopped; {kept}", file=sys.stderr)
            raise SystemExit(130) from None
        if parts.rows != len(inputs):
            raise ConfigError(
                f"{output} has {parts.rows} rows of {len(inputs)}; give the command again"
            )
        failed = f", {parts.failures} failed" if parts.failures else ""
        say(f"wrote {output}: {parts.rows} rows in {blocks} parts{failed}", True)
        return parts.failures


def _absolute(one: Input) -> Input:
    """As a worker finds it, whatever folder it runs in."""
    body = tuple((kind, str(Path(path).absolute())) for kind, path in one.body)
    if isinstance(one.audio, str) and not is_url(one.audio):
        return replace(one, audio=str(Path(one.audio).absolute()), body=body)
    return replace(one, body=body)
