"""The whole `erc` command: which commands there are, its help, and its way in."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from erc import __version__
from erc.base.devices import tune_memory
from erc.base.errors import (
    AudioWarning,
    ConfigError,
    ModelWarning,
    did_you_mean,
    one_line_errors,
)
from erc.cli import (
    check,
    compare,
    corpus,
    demo,
    export,
    fit_fusion,
    info,
    live,
    plan,
    predict,
    report,
    serve,
    starter,
    studies,
    timeline,
    train,
)
from erc.cli.command import Command, Option, Parser, command

HOW = {
    "bash": 'eval "$(erc completion bash)"            # a line for ~/.bashrc',
    "zsh": 'eval "$(erc completion zsh)"             # a line for ~/.zshrc, after compinit',
    "fish": "erc completion fish | source            # a line for ~/.config/fish/config.fish",
}
EXAMPLES = """\
examples:
  erc demo                                      train on a simulated corpus, in minutes
  erc check /data/KEMDy19                       what is wrong with a corpus, before training
  erc predict 'takes/**/*.wav' -o takes.csv     goes on where it was stopped
  eval "$(erc completion bash)"                 complete commands and options with Tab"""


@command(Option("shell", choices=tuple(HOW)))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    try:
        import shtab
    except ImportError:
        raise ConfigError("completion needs the package shtab: pip install shtab") from None
    whole = Parser(prog="erc")
    whole.add_argument("--version", action="version", version=__version__)
    subs = whole.add_subparsers()
    for one in COMMANDS.values():
        one.fill(subs.add_parser(one.name, help=one.summary))
    print(f"# {HOW[shell]}\n{shtab.complete(whole, shell=shell)}")


GROUPS: dict[str, tuple[Command, ...]] = {  # in the order of a workday
    "start": (demo.demo, starter.starter, corpus.synth, completion),
    "data": (corpus.corpora, check.check, corpus.prepare, corpus.agreement, corpus.audit,
             plan.plan),
    "train and measure": (
        train.train, train.evaluate, studies.cross_validate, studies.transfer, studies.sweep,
        compare.compare, fit_fusion.fit_fusion, report.report, report.embed, studies.sharpen,
        studies.reproduce,
    ),
    "use a model": (
        predict.predict, timeline.timeline, live.live, info.info, info.use, info.models, serve.serve,
        serve.web,
    ),
    "carry it elsewhere": (export.tune, export.export, export.import_reference),
}  # fmt: skip
COMMANDS = {one.name: one for group in GROUPS.values() for one in group}


def parse(words: Sequence[str]) -> tuple[Command, dict[str, Any]]:
    """The command that the first word names, and its arguments from the others.

    Raises:
        ConfigError: there is none of that name, or it does not take these.
    """
    name, *rest = words
    if name not in COMMANDS:
        kind, known = "command", list(COMMANDS)
        if name.startswith("-"):
            kind, known = "option", ["--help", "--version"]
        raise ConfigError(
            f"there is no {kind} '{name}'{did_you_mean(name, known)}; {kind}s: {', '.join(known)}"
        )
    return COMMANDS[name], COMMANDS[name].parse(rest)


def help_page() -> str:
    """The commands in groups."""
    lines = ["usage: erc COMMAND …", "", "Emotion, valence and arousal from speech and transcript."]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {c.name:<18}{c.summary.rstrip('.')}" for c in group)]
    lines += ["", "erc COMMAND --help says more; erc --version", "", EXAMPLES]
    return "\n".join(lines)


_PLAIN = warnings.formatwarning


def _warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int,
    line: str | None = None,
) -> str:  # fmt: skip
    """What is said of a recording or a model is for people, without the line of code that says it."""
    if category in (AudioWarning, ModelWarning):
        return f"erc: {message}\n"
    return _PLAIN(message, category, filename, lineno, line)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code: 0 all good, 1 some inputs failed, 2 usage or input.

    1 it is, too, where the disk is full. Without a word it prints the help, which is no error: 0.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if sys.stdout is None:  # closed by whoever started this
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that the console lacks ends nothing
        sys.stdout.reconfigure(errors="replace")
    warnings.formatwarning = _warning
    with one_line_errors():
        if words[0] in ("-h", "--help"):
            print(help_page())
            return 0
        if words[0] == "--version":
            print(__version__)
            return 0
        chosen, arguments = parse(words)
        tune_memory()
        return chosen.run(**arguments) or 0
    return 2
