"""`erc plan`: what a corpus and a model will cost on this machine, before anything is begun."""

from __future__ import annotations

from erc.cli.command import OVERRIDES, Option, command


@command(
    OVERRIDES,
    Option("--hours", "of speech", type=float, metavar="H"),
    Option("--utterances", "how many (default: 3.5 s each)", type=int, metavar="N"),
    Option("--data", "a corpus folder or manifest to count instead", metavar="FOLDER"),
    Option("--corpus", "one of `erc corpora` (default: by its files)"),
    Option("--folds", "trainings, of one fold each", type=int, default=1),
    Option("--model", "a model that `erc tune` measured here, to predict with", metavar="MODEL"),
    Option("--again", "measure this machine again", flag=True),
    Option("--json", "all that is known, for programs", flag=True),
)
def plan(
    overrides: list[str], hours: float | None, utterances: int | None, data: str | None,
    corpus: str | None, folds: int, model: str | None, again: bool, json: bool,
) -> None:  # fmt: skip
    """Say what memory, disk and time a corpus and a model will take on this machine.

    Raises:
        ConfigError: no size, or no such key.
        CorpusError, CheckpointError: the corpus, an encoder or the model cannot be read.
    """
    import sys
    from json import dumps

    from erc.studies import plan as planner
    from erc.studies.calibration import constants

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    work, rate = planner.asked(overrides, hours, utterances, data, corpus, folds, model)
    found = planner.Plan.of(work, constants(again, say), rate)
    print(dumps(found.to_json(), indent=2, ensure_ascii=False) if json else found)
