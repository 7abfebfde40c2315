"""What a `config.json` may say: a kind and bounds for every field, before anything is built from it.

A rule takes a value and raises `Unfit` with what is allowed. Plain functions, because the library for
this (pydantic) takes as long to import as a short recording takes to be answered.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from erc.base.space import MOST, NAME, Space

Rule = Callable[[Any], None]

LAYERS = 128  # the deepest encoders have 48
WIDTH = 1 << 20  # of a vector, a layer, a dictionary of all languages
COUNT = re.compile(
    r"layer|block|stage|depth|group|head|expert|^num_"
)  # what is built so many times
STEPS = re.compile(r"stride|kernel|patch_size")
MODALITIES = ("speech", "text", "physiology")


class Unfit(ValueError):
    """What is allowed instead, and where: keys and places, innermost first."""

    def __init__(self, allowed: str):
        super().__init__(allowed)
        self.allowed = allowed
        self.path: list[str] = []

    def __str__(self) -> str:
        return f"{'.'.join(reversed(self.path)) or 'the file'}: {self.allowed} is expected"


def whole(low: int, high: int) -> Rule:
    """A whole number."""

    def rule(value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise Unfit(f"a whole number from {low} to {high}")

    return rule


def real(low: float, high: float) -> Rule:
    """A finite number."""

    def rule(value: Any) -> None:
        if type(value) not in (int, float) or not low <= value <= high:
            raise Unfit(f"a number from {low:g} to {high:g}")

    return rule


def text(pattern: str = r"[^\0]{0,10000}") -> Rule:
    """A string that fits a pattern."""

    def rule(value: Any) -> None:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.DOTALL):
            raise Unfit(f"a text like {pattern}")

    return rule


def flag(value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise Unfit("true or false")


def word(*words: str) -> Rule:
    """One of these."""

    def rule(value: Any) -> None:
        if value not in words:
            raise Unfit(f"one of {', '.join(words)}")

    return rule


def maybe(rule: Rule) -> Rule:
    """Or null."""
    return lambda value: None if value is None else rule(value)


def either(*rules: Rule) -> Rule:
    """What one of these allows."""

    def rule(value: Any) -> None:
        wanted = []
        for one in rules:
            try:
                return one(value)
            except Unfit as unfit:
                wanted.append(unfit.allowed)
        raise Unfit(" or ".join(wanted))

    return rule


def items(rule: Rule, least: int = 0, most: int = 1000) -> Rule:
    """A list."""

    def check(value: Any) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise Unfit(f"a list of {least} to {most}")
        for place, one in enumerate(value):
            _inside(str(place), rule, one)

    return check


def table(rule: Rule, most: int = 1000, key: str = r"[^\0]{1,200}") -> Rule:
    """An object whose keys are names."""

    def check(value: Any) -> None:
        if not isinstance(value, dict) or len(value) > most:
            raise Unfit(f"an object of at most {most} keys")
        for name, one in value.items():
            if not re.fullmatch(key, name):
                raise Unfit(f"keys like {key}")
            _inside(name, rule, one)

    return check


def record(
    needed: Mapping[str, Rule], others: Mapping[str, Rule], rest: Rule | None = None
) -> Rule:
    """An object with these keys; `rest` says what more there may be."""

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            raise Unfit("an object")
        if missing := [name for name in needed if name not in value]:
            raise Unfit(f"an object with '{missing[0]}'")
        for name, one in value.items():
            rule = needed.get(name) or others.get(name) or rest
            if rule is None:
                raise Unfit(f"none but {', '.join([*needed, *others])}, and not '{name[:40]}',")
            _inside(name, rule, one)

    return check


def anything(value: Any) -> None:
    """What another rule looks at."""


def plain(value: Any, depth: int = 12) -> None:
    """JSON of reasonable size that nobody computes with."""
    if not depth:
        raise Unfit("nothing nested so deep")
    if isinstance(value, dict):
        table(lambda one: plain(one, depth - 1), 10_000)(value)
    elif isinstance(value, list):
        items(lambda one: plain(one, depth - 1), 0, 100_000)(value)
    elif isinstance(value, str):
        text(r"[^\0]{0,100000}")(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise Unfit("a finite number")


def _inside(name: str, rule: Rule, value: Any) -> None:
    try:
        rule(value)
    except Unfit as unfit:
        unfit.path.append(name[:60])
        raise


def network(value: Any, key: str = "", depth: int = 6) -> None:
    """A Hugging Face config. Its keys are too many to name; what they count is told by their names."""
    if not depth:
        raise Unfit("nothing nested so deep")
    if isinstance(value, dict):
        if len(value) > 1000:
            raise Unfit("an object of at most 1000 keys")
        for name, one in value.items():
            _inside(name, functools.partial(network, key=name, depth=depth - 1), one)
    elif isinstance(value, list):
        items(lambda one: network(one, key, depth - 1))(value)
    elif isinstance(value, str):
        text(r"[^\0]{0,1000}")(value)
    elif isinstance(value, float):
        real(1e-20, 1)(value) if "eps" in key else real(-1e6, 1e6)(value)
    elif type(value) is int:
        if STEPS.search(key):
            whole(1, 1000)(value)
        elif COUNT.search(key):
            whole(-1, LAYERS if "layer" in key or "block" in key else 1024)(value)
        elif "mel" in key or "label" in key.lower():
            whole(0, 1024)(value)
        else:
            whole(-WIDTH, WIDTH)(value)


TRAINED = {"train_layers": maybe(whole(0, LAYERS)), "checkpointing": flag}
SPEECH = {
    "layer": either(whole(-LAYERS, LAYERS), word("mean", "weighted", "middle")),
    "normalize": flag,
    "context": word("real", "30s"),
    "spec_augment": flag,
    "train_front": flag,
    **TRAINED,
}
SHARE = real(0, 1)
BUILT = record(
    {},
    {
        "speech": maybe(record({"model": network}, SPEECH)),
        "text": maybe(record({"model": network}, TRAINED)),
        "physiology": maybe(record({}, {"kind": text(), "size": whole(1, 4096), "dropout": SHARE})),
        "fusion": text(r"\w{1,40}"),
        "fusion_options": table(
            either(maybe(flag), whole(0, 4096), real(0, 64)), 20
        ),  # what each means, the fusion says
        "dim": whole(2, 4096),
        "speech_pooling": text(r"\w{1,40}"),
        "text_pooling": text(r"\w{1,40}"),
        "segments": whole(1, 1000),
        "modality_dropout": SHARE,
        "dropout": SHARE,
        "input_dropout": SHARE,
        "freeze_speech": flag,
        "freeze_text": flag,
    },
)
SAMPLES = 60 * 16_000  # 60 s; no encoder takes more at once
COUNTED = maybe(whole(0, 1 << 40))  # rows
PLACE = real(-1e6, 1e6)  # on the scale of a dimension


def _region(value: Any) -> None:
    """Mean valence and arousal of an emotion, and their deviations."""
    items(PLACE, 4, 4)(value)
    items(real(1e-6, 1e6), 2, 2)(value[2:])


def _named(rule: Rule, names: tuple[str, ...]) -> Rule:
    """An object with some of these keys."""
    return table(rule, key="|".join(map(re.escape, names)) or "(?!)")


def _meta(space: Space) -> Rule:
    return record(
        {},
        {
            "objective": text(r"\w{1,40}"),
            "prediction": record(
                {},
                {
                    "temperature": real(1e-3, 1e3),
                    "temperature_adapted": real(1e-3, 1e3),
                    "wav_max_length": maybe(whole(1, 1 << 40)),
                    "txt_max_length": whole(1, WIDTH),
                    "adaptation": text(),
                    "physiology_baseline": text(),
                    "regions": _named(_region, space.emotions),
                },
                plain,
            ),
            "learned": maybe(
                record(
                    {},
                    {
                        "emotions": maybe(_named(COUNTED, space.emotions)),
                        "dimensions": maybe(_named(COUNTED, space.names)),
                        "valence": COUNTED,  # of before there was `dimensions`
                        "arousal": COUNTED,
                        "band_hz": maybe(real(0, 8000)),
                        "rated": flag,
                    },
                )
            ),
            "results": maybe(table(plain)),
        },
        plain,
    )


OFF = maybe(real(0, math.inf))
DIGEST = text("[0-9a-f]{64}")
FILE = r"(?:\w[\w.-]*/)?\w[\w.-]*"


def _runtime(space: Space) -> Rule:
    off = {f"max_{name}": OFF for name in ("probability", *space.names)}
    return record(
        {
            "name": text(r"[a-z]{1,20}-[a-z0-9]{1,20}"),
            "graphs": table(text(r"[\w.-]{1,100}"), 4, "|".join((*MODALITIES, "fuse"))),
            "spec": record(
                {
                    "modalities": items(word(*MODALITIES), 1, 3),
                    "widths": table(items(whole(1, WIDTH), 1, 3), 3, "|".join(MODALITIES)),
                },
                {
                    "normalize": flag,
                    "min_samples": whole(0, SAMPLES),
                    "max_samples": maybe(whole(400, SAMPLES)),
                    "padding_safe": flag,
                    "pad_token_id": whole(0, WIDTH),
                    "needs_all": flag,
                    "physiology": maybe(word("features", "conv")),
                    "sequences": items(word(*MODALITIES), 0, 3),
                },
            ),
            "front": table(
                record(
                    {
                        "step": whole(1, SAMPLES),
                        "after": whole(0, SAMPLES),
                        "least": whole(0, SAMPLES),
                        "most": whole(1, 1 << 40),
                    },
                    {},
                ),
                3,
            ),
        },
        {
            "weights": DIGEST,
            "parity": record({}, off, plain),
        },
        plain,
    )


SPACE = record(
    {"emotions": items(text(NAME), 0, MOST)},
    {"dimensions": table(items(PLACE, 2, 2), MOST, NAME)},
    rest=anything,  # it can be judged when the space is known
)


def check(config: Any) -> Space:
    """The label space of a `config.json`, every field of which is what it may be.

    Raises:
        Unfit: one is not.
        ConfigError: its emotions and dimensions are no `Space`.
    """
    SPACE(config)
    space = Space.from_json(config)
    if not space.emotions and not space.dimensions:
        raise Unfit("an emotion or a dimension")
    record(
        {"format": whole(1, 1), "emotions": anything, "model": BUILT, "meta": _meta(space)},
        {
            "dimensions": anything,
            "runtime": _runtime(space),
            "files": table(DIGEST, key=FILE),
        },
    )(config)
    return space
