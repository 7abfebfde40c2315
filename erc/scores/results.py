"""`Results`: the scores of a run, how sure they are, and everything they were made with = results.json.

The only writer and reader of that file. JSON has no nan: it is null there and nan here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from erc.base.errors import ConfigError
from erc.base.files import read_json, write_json
from erc.base.space import KEMDY, Space
from erc.scores.metrics import cccs, is_count
from erc.scores.one_rater import NO_COUNTERPART
from erc.scores.panels import Panels
from erc.scores.scored import Scored
from erc.scores.sets import Sets
from erc.scores.statistics import Interval

FILE = "results.json"
HUMAN = "one rater"  # against the others
EARLIER = "human ceiling"  # the same in files of earlier versions, among the systems
BASELINE = "baseline: "  # begins the name of a system that is no model: see `erc.scores.baselines`
ADAPTED = "speaker-adapted"  # ends the name of a system that knows the test speakers' baseline
OF_CORPUS = "corpus-adapted"  # … or that of their corpus


@dataclass(frozen=True)
class System:
    """Scores of one system: a set of modalities, perhaps adapted to the speakers.

    >>> both = System("speech + text", {"uar": 0.5, "n": 8}, {"uar": (0.4, 0.6)})
    >>> both.modalities, str(both["uar"])
    (('speech', 'text'), '0.500 [0.400, 0.600]')
    """

    name: str
    scores: Mapping[str, float]  # as `metrics.evaluate`: by metric, and how many utterances counted
    intervals: Mapping[str, tuple[float, float]]  # 95 %, low and high; no counts

    @classmethod
    def of(cls, scored: Scored, seeds: Any = None) -> System:
        """Measure the rows of a system; intervals are over speakers, and over `seeds` [N] if given."""
        found = scored.intervals(seeds=seeds)
        sure = {k: (v.low, v.high) for k, v in found.items() if not is_count(k)}
        return cls(scored.system, {k: v.value for k, v in found.items()}, sure)

    def __getitem__(self, metric: str) -> Interval:
        """A score with its interval; nan where it is undefined or was not measured."""
        low, high = self.intervals.get(metric, (math.nan, math.nan))
        return Interval(self.scores.get(metric, math.nan), low, high)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What it hears or reads."""
        return tuple(self.name.partition(", ")[0].split(" + "))

    @property
    def adapted(self) -> bool:
        """Whether it knows the baseline of the speakers, or of their corpus."""
        return adapted(self.name)

    @property
    def baseline(self) -> bool:
        """Whether it is no model, but what a model has to beat."""
        return self.name.startswith(BASELINE)


class Margin(NamedTuple):
    """The fullest system − the baseline that is strongest in a metric, on the same utterances."""

    baseline: str
    value: float
    low: float  # 95 %, over speakers
    high: float
    p: float


@dataclass(frozen=True)
class Human:
    """One rater against the others on the same utterances; see `erc.scores.one_rater`."""

    scores: Mapping[str, float] = field(default_factory=dict)  # by metric, and `<metric>_std`

    def __getitem__(self, metric: str) -> float:
        """Mean over raters; nan where a rater has no such score."""
        return self.scores.get(metric, math.nan)

    def std(self, metric: str) -> float:
        """Standard deviation between raters."""
        return self[f"{metric}_std"]


@dataclass(frozen=True)
class Results:
    """One model on one held-out fold."""

    systems: Mapping[str, System]  # by name, from one modality to all of them
    human: Human
    protocol: str  # paper | strict | fixed
    fold: int  # the one held out, of … ; −1: each in turn, in a cross-validation
    folds: int
    n: int  # utterances held out
    speakers: int
    sessions: tuple[str, ...]
    simulated: bool  # no person was recorded
    corpus: str  # where it lies
    store: str  # name of the built corpus, by content
    seed: int
    temperature: float  # of the probabilities; 1 where none was fitted
    command: str
    versions: Mapping[str, str] = field(default_factory=dict)
    precision: str = ""  # number format of the training, e.g. 32-true; "": not recorded
    calibrated: bool = False  # the temperature was fitted, on other utterances than these
    panels: Panels = field(default_factory=Panels)  # of several raters, on the same utterances
    margins: Mapping[str, Margin] = field(default_factory=dict)  # metric → over the baselines
    risk: Mapping[str, float] = field(
        default_factory=dict
    )  # of the fullest system, `selective.areas`
    sets: Sets | None = (
        None  # of the fullest system; None: nobody was held out to calibrate them on
    )
    audit: Mapping[str, Any] | None = None  # what crosses from training, `erc.datasets.audit`
    seeds: int = 1  # trainings of each fold; their answers are counted together
    space: Space = KEMDY  # the emotions and dimensions that scores are of

    @property
    def fullest(self) -> System:
        """The system that sees most modalities, without adaptation to the speaker."""
        return [s for s in self.systems.values() if not s.adapted and not s.baseline][-1]

    @property
    def adapted(self) -> bool:
        """Whether some system knows the test speakers."""
        return any(s.adapted for s in self.systems.values())

    @property
    def where(self) -> str:
        """The corpus in a title; says first that it is simulated."""
        return where(self.simulated, self.corpus)

    def public(self) -> Results:
        """The same without the folders of this machine, for what leaves it with the model."""
        return replace(self, corpus=anywhere(self.corpus), command=anywhere(self.command))

    def to_json(self) -> dict[str, Any]:
        """What results.json holds: the fields under their names, only `systems` in two parts:
        `scores[system][metric]` and `intervals[system][metric] = [low, high]`.
        """
        plain = {
            k: v for k, v in vars(self).items() if k not in ("systems", "human", "panels", "sets")
        }
        return plain | {
            "space": self.space.to_json(),
            "sessions": list(self.sessions),
            "scores": {name: dict(s.scores) for name, s in self.systems.items()},
            "intervals": {
                name: {k: list(v) for k, v in s.intervals.items()}
                for name, s in self.systems.items()
            },
            "human": dict(self.human.scores),
            "panels": self.panels.to_json(),
            "sets": self.sets.to_json() if self.sets else None,
            "margins": {metric: margin._asdict() for metric, margin in self.margins.items()},
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], origin: str = "results") -> Results:
        """What `to_json` gave, also from a file of an earlier version, or of a cross-validation.

        Raises:
            ConfigError: it is something else; names `origin`.
        """
        if "pooled" in found and "seeds" not in found:
            raise ConfigError(
                f"{origin} is of a cross-validation by an earlier version: give one of its folds, e.g. "
                "fold0"
            )
        try:
            values = _of_study(found) if "pooled" in found else dict(found)
            scores, intervals = _nan(values.pop("scores")), _nan(values.pop("intervals"))
            human = _nan(values.pop("human", None)) or scores.get(EARLIER, {})
            human = {k: math.nan if k in NO_COUNTERPART else v for k, v in human.items()}
            panels = Panels.from_json(values.pop("panels", {}))
            margins = _nan(values.pop("margins", {}))
            values |= {"risk": _nan(values.get("risk", {}))}
            values["sets"] = Sets.from_json(_nan(values["sets"])) if values.get("sets") else None
            values["margins"] = {metric: Margin(**margin) for metric, margin in margins.items()}
            if "calibrated" not in values:  # by earlier versions: also on the held-out fold itself
                fitted = values["temperature"] != 1
                values["calibrated"] = fitted and values["protocol"] == "strict"
            values |= {"sessions": tuple(values["sessions"]), "audit": _nan(values.get("audit"))}
            values["space"] = Space.from_json(values.get("space", {}))
            systems = {
                name: System(name, scores[name], {k: tuple(v) for k, v in sure.items()})
                for name, sure in intervals.items()
            }
            return cls(systems, Human(human), panels=panels, **values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"{origin} is not what a run of erc writes: {error}") from error

    def write(self, path: str | Path) -> None:
        """Write results.json."""
        write_json(path, self.to_json())

    @classmethod
    def read(cls, path: str | Path) -> Results:
        """Read the results.json of a run.

        Args:
            path: the file, or the folder of the run.

        Raises:
            ConfigError: no finished run, or not the results of a run.
        """
        file = Path(path) / FILE if Path(path).is_dir() else Path(path)
        if not file.is_file():
            raise ConfigError(f"{file.parent} is not a finished run: it has no {FILE}")
        return cls.from_json(read_json(file, ConfigError), str(file))


def adapted(system: str) -> bool:
    """Whether the name is of a system that heard unlabelled recordings beside the one it answers for.

    >>> adapted("speech, corpus-adapted"), adapted("speech + text")
    (True, False)
    """
    return system.endswith((ADAPTED, OF_CORPUS))


def headline(space: Space) -> tuple[str, ...]:
    """The scores in which a model is compared with the baselines."""
    return ("f1_macro", "uar", *cccs(space))


def where(simulated: bool, corpus: str) -> str:
    """A corpus in a title; says first that it is simulated."""
    return f"{'SIMULATED corpus' if simulated else 'corpus'} {corpus}"


def anywhere(text: str) -> str:
    """Text with every absolute path cut to its last name.

    >>> anywhere("train.py dataset.paths=/home/me/KEMDy19 cache='C:\\\\data\\\\x'")
    "train.py dataset.paths=KEMDy19 cache='x'"
    """
    name = r"[^\s/\\'\",=\]]"
    return re.sub(rf"(?<![\w.~:/])(?:~|[A-Za-z]:)?[/\\](?:{name}+[/\\])*(?={name})", "", text)


def _of_study(found: Mapping[str, Any]) -> dict[str, Any]:
    """The file of a cross-validation (`erc.scores.summary`) as if one run had held out every fold."""
    shared = (
        "protocol",
        "folds",
        "n",
        "speakers",
        "simulated",
        "corpus",
        "seed",
        "command",
        "versions",
    )
    later = {"sessions": [], "store": "", "precision": "", "calibrated": False, "margins": {}}
    later |= {"space": {}}
    values = {k: found[k] for k in shared} | {k: found.get(k, v) for k, v in later.items()}
    return values | {
        "fold": -1,
        "scores": found["pooled"],
        "intervals": found["intervals"],
        "human": found["human"]["mean"],
        "temperature": math.nan,  # each fold has its own
        "seeds": len(found.get("seeds", {})) or 1,
    }


def _nan(value: Any) -> Any:
    """null → nan in an object of numbers, at any depth."""
    if isinstance(value, Mapping):
        return {k: math.nan if v is None else _nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [math.nan if v is None else _nan(v) for v in value]
    return value
