"""What each `erc` command does: one function, one other module, imported when it is called."""

from __future__ import annotations

import argparse
from pathlib import Path


def synth(args: argparse.Namespace) -> int:
    """Write a simulated corpus."""
    from erc.corpora.simulated import write_tree

    print(write_tree(args.out_dir, args.layout, args.sessions, args.utterances, args.seed))
    return 0


def prepare(args: argparse.Namespace) -> int:
    """Decode a corpus into the cache and report what was dropped."""
    from erc.datasets import HF_KEMD

    folds = "session" if args.folds == "session" else int(args.folds)
    data = HF_KEMD(args.root, "all", 0, args.corpus, num_folds=folds, num_proc=args.workers)
    print(data)
    return 0


def train(args: argparse.Namespace) -> int:
    """Train as `python train.py` does."""
    from erc.studies.experiment import run

    run(args.overrides)
    return 0


def cross_validate(args: argparse.Namespace) -> int:
    """Train one model per fold; mean ± standard deviation of their scores."""
    from erc.studies.cross_validation import cross_validate

    cross_validate(args.overrides)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Score a finished run again, or on another corpus."""
    from erc.studies.experiment import evaluate

    evaluate(args.run, args.overrides, args.output)
    return 0


def agreement(args: argparse.Namespace) -> int:
    """How far the raters of a corpus agree, and what one of them reaches."""
    from erc.scores.agreement import report

    report(args.root, args.corpus, args.output)
    return 0


def sharpen(args: argparse.Namespace) -> int:
    """Train on labels from one-hot to soft and draw macro F1 against CCC."""
    from erc.studies.sharpening import curve

    curve(args.overrides, args.temperatures, args.fast, args.output)
    return 0


def predict(args: argparse.Namespace) -> int:
    """Emotion, valence and arousal of recordings."""
    from erc.cli.predict import Options, predict

    return predict(
        args.files, args.text, args.model, args.format, args.output,
        Options(args.top_k, args.abstain, args.runtime, args.device),
        workers=args.workers, overwrite=args.overwrite, quiet=args.quiet,
    )  # fmt: skip


def timeline(args: argparse.Namespace) -> int:
    """Emotion, valence and arousal of every turn of a long recording."""
    from erc.cli.timeline import run

    return run(
        args.recording, args.text, args.model, args.format, args.output, args.plot,
        vad=args.vad, max_turn=args.max_turn, overlap=args.overlap, smooth=args.smooth,
        runtime=args.runtime, quiet=args.quiet,
    )  # fmt: skip


def check(args: argparse.Namespace) -> int:
    """Find what is wrong with a corpus before it costs a training run."""
    from erc.cli.check import check

    return check(args.root, args.corpus, args.json, args.workers, args.quiet)


def info(args: argparse.Namespace) -> int:
    """Show what a model takes, was trained on and scores, and what it is not for."""
    from erc.recognizer.info import show

    return show(args.model, args.json)


def completion(args: argparse.Namespace) -> int:
    """Print the script that completes commands and options in a shell."""
    from erc.cli.completion import script

    print(script(args.top, args.shell))
    return 0


def tune(args: argparse.Namespace) -> int:
    """Measure which runtime answers fastest on this machine, and remember it in the model folder."""
    from erc.recognizer.tune import table, tune

    entry = tune(args.model, args.export or (), args.recordings)
    print(table(entry))
    return 0


def serve(args: argparse.Namespace) -> int:
    """Answer over HTTP until told to stop."""
    import os
    from dataclasses import fields

    from erc.cli.predict import model_folder
    from erc.server.run import serve
    from erc.server.settings import Settings

    chosen = {field.name: getattr(args, field.name) for field in fields(Settings)}
    chosen["api_key"] = args.api_key or os.environ.get("ERC_API_KEY") or None
    settings = Settings(**chosen)
    return serve(model_folder(args.model), settings, args.runtime, args.web)


def web(args: argparse.Namespace) -> int:
    """Show the page for people on this machine: record or upload, and see emotion and why."""
    from erc.cli.predict import model_folder
    from erc.server.settings import Settings
    from erc.server.web import serve

    settings = Settings(host=args.host, port=args.port)
    return serve(model_folder(args.model), settings, browser=args.open, runtime=args.runtime)


def embed(args: argparse.Namespace) -> int:
    """Compare the feature space of a run with the raters' valence–arousal map."""
    from erc.studies.feature_map import embed

    embed(args.run, args.output, args.seed)
    return 0


def report(args: argparse.Namespace) -> int:
    """Write what a run did and how good it is as one HTML page."""
    from erc.studies.report import write

    print(f"wrote {write(args.run, args.output)}")
    return 0


def export(args: argparse.Namespace) -> int:
    """Turn a model folder into one that runs without torch, and say what that changes."""
    from erc.recognizer import parity
    from erc.recognizer.export import export, into, report

    options = {"format": args.format, "int8": args.int8, "recordings": args.recordings}
    inside = args.inside
    out = into(args.model, **options) if inside else export(args.model, args.output, **options)
    print(f"{parity.table(report(out))}\nwrote {out}")
    return 0


def import_reference(args: argparse.Namespace) -> int:
    """Turn a checkpoint with the published key names into a model folder."""
    from erc.model.folder.checkpoint import import_reference

    import_reference(args.checkpoint, args.config, args.out_dir)
    print(f"wrote {args.out_dir}")
    return 0


def demo(args: argparse.Namespace) -> int:
    """The whole path on a simulated corpus."""
    from erc.studies.experiment import demo

    demo(Path(args.out_dir))
    return 0


def reproduce(args: argparse.Namespace) -> int:
    """Train the paper's table: three fusions, three targets, five folds; finished runs are skipped."""
    from erc.studies.reproduction import PROTOCOLS, reproduce

    protocols = PROTOCOLS if args.protocol == "both" else (args.protocol,)
    reproduce(args.data, args.fast, args.output, protocols, args.workers)
    return 0


def audit(args: argparse.Namespace) -> int:
    """Say what crosses from training to test in each fold of a split."""
    from erc.studies.cross_validation import audit_folds

    audit_folds(args.overrides)
    return 0
