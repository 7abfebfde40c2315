"""Batch → Output, and the pooled features of frozen encoders: computed once, kept on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from erc.base.audio import SAMPLE_RATE
from erc.base.buckets import by_budget
from erc.base.files import fingerprint
from erc.datasets.batches import Batch, Collator
from erc.datasets.view import View
from erc.model.branch import Branch
from erc.model.emotion import EmotionModel, Encoded, Output
from erc.model.encoders import STACKED, SpeechEncoder
from erc.training.feature_cache import FeatureTable

Tables = dict[str, Tensor]  # modality → pooled features [rows of the store, *Branch.shape],
# or [rows of the store, segments, *Branch.shape]

VERSION = 1  # raise when the same encoder, settings and input give other features
BUDGET = {"speech": 56.0, "text": 8192.0}  # padded seconds or characters of a batch
MOST = 64  # utterances of a batch
# Keys of a Hugging Face config that do not reach a frozen encoder.
UNUSED = re.compile(
    r"drop|^(mask_|apply_spec_augment|_name_or_path|output_|use_cache|initializer_)"
)


def run(
    model: EmotionModel, batch: Batch, tables: Tables | None = None, void_ok: bool = False
) -> Output:
    """`model(batch)`, taking from `tables` what frozen encoders have already said of its rows."""
    return model.fuse(encode(model, batch, tables), void_ok)


def encode(model: EmotionModel, batch: Batch, tables: Tables | None = None) -> Encoded[Tensor]:
    """`model.encode(batch)`, with the same short cut."""
    inputs = {modality: batch.modality(modality) for modality in model.modalities}
    return model.encode(inputs, known(batch, tables or {}))


def known(batch: Batch, tables: Tables) -> Tables:
    """The rows of a batch in `tables`, on the device of the batch."""
    rows, device = cast(Tensor, batch.rows), batch.speech_lengths.device
    return {m: table[rows.to(table.device)].to(device) for m, table in tables.items()}


def pooled(
    model: EmotionModel, dataset: View, collate: Collator, cache: Path, all_layers: bool = False
) -> Tables:
    """What `Branch.encode` says of every utterance of the store, for each frozen encoder.

    Layers are not weighted yet, attention has not looked yet: what is trained stays out of the
    table. Only whole sequences (pooling "frames") are computed anew each time.

    A table is identified by the encoder's weights and all that shapes its answer (`identity`), a
    row by the recording or transcript alone (`erc.training.feature_cache`): utterances, folds, protocols
    and corpora share rows, and nothing can go stale. Empty when nothing is frozen.

    Args:
        dataset: any side; all rows of its store are encoded.
        cache: folder of features.
        all_layers: keep every hidden layer of a speech encoder, (L + 1) times the bytes, so that
            any `layer`, "mean" and "weighted" are read from one table; see `stored_layer`.
    """
    everything = dataset.side("all")
    tables = {}
    for modality in model.modalities:
        branch = model.branches[modality]
        if branch.cacheable and modality in BUDGET:
            tables[modality] = _features(branch, modality, everything, collate, cache, all_layers)
    return tables


def _features(
    branch: Branch, modality: str, data: View, collate: Collator, cache: Path, all_layers: bool
) -> Tensor:
    """Features [rows of the store, …] of one encoder; a row without this modality is zero."""
    layer, chosen = stored_layer(branch, all_layers)
    steps = (branch.segments,) if branch.reduction == "segments" else ()
    layers = (hidden_states(branch),) if layer == "all" else ()
    about = identity(branch, modality, data, collate, layer)
    folder = cache / "features" / f"{modality}-{fingerprint(about)}"
    shape = (*steps, *layers, branch.size)
    table = FeatureTable(folder, shape, about)

    [rows] = data.has(modality).nonzero()
    if modality == "speech":
        keys = keys_of(data.store.column("audio_hash")[rows])
        work = data.lengths[rows] / SAMPLE_RATE
    else:
        texts = data.store.column("text")[rows]
        keys = keys_of([fingerprint(text.encode()) for text in texts])
        work = np.array([len(text) for text in texts], float)
    _, first = np.unique(keys, return_index=True)
    say = _encoder(branch, modality, data, collate, rows[first], work[first], shape)
    what = f"{modality} features{f' of all {layers[0]} layers' if layers else ''}"
    with torch.inference_mode(), _undisturbed(branch, layer == "all"):
        table.fill(keys[first], work[first], say, what)
    found = torch.zeros(len(data.store), *steps, *branch.shape)
    table.read(keys, found.numpy(), rows, chosen)
    return found


def stored_layer(
    branch: Branch, all_layers: bool
) -> tuple[int | str | None, int | str | slice | None]:
    """Which layers a table holds, and which of them the branch reads from it (None: as they are).

    "mean" is read from all layers only where the reduction is linear: the deviation of a mean is
    not the mean of deviations.
    """
    layer = branch.encoder.layer
    if layer is None:  # a text encoder has no choice
        return None, None
    if layer in STACKED:
        return "all", cast(SpeechEncoder, branch.encoder).kept
    if isinstance(layer, int) and layer < 0:
        layer += hidden_states(branch)
    if all_layers and not (layer == "mean" and branch.reduction.startswith("mean_std")):
        return "all", layer
    return layer, None


def hidden_states(branch: Branch) -> int:
    """Of its speech encoder: the input of each layer, and the final output."""
    return cast(SpeechEncoder, branch.encoder).backbone.layers + 1


def identity(
    branch: Branch, modality: str, data: View, collate: Collator, layer: int | str | None
) -> dict[str, Any]:
    """All that shapes the features of a recording or transcript, besides itself; plain JSON."""
    encoder = branch.encoder
    config = encoder.to_config()
    about = {
        "version": VERSION,
        "modality": modality,
        "weights": weights_hash(encoder),
        "model": {k: v for k, v in config["model"].items() if not UNUSED.search(k)},
        "layer": layer,
        "reduction": branch.reduction,
        "segments": branch.segments if branch.reduction == "segments" else None,
        "computed": _precision(encoder),
        "stored": "float32",
    }
    if modality == "speech":
        length = {"samples": data.wav_max_length, "normalize": collate.normalize}
        return about | length | {"context": config["context"]}
    backend = collate.tokenizer.backend_tokenizer
    backend.no_truncation()  # set by use; each call sets its own again
    backend.no_padding()
    tokenizer = fingerprint(backend.to_str().encode())
    return about | {"tokens": collate.txt_max_length, "tokenizer": tokenizer}


def _precision(encoder: nn.Module) -> str:
    parameter = next(encoder.parameters())
    kind = parameter.device.type
    autocast = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    return f"{parameter.dtype} {f'autocast to {autocast}' if autocast else ''}".strip()


def _encoder(
    branch: Branch,
    modality: str,
    data: View,
    collate: Collator,
    rows: np.ndarray,
    work: np.ndarray,
    shape: tuple[int, ...],
) -> Callable[[np.ndarray, Callable[[int], None]], np.ndarray]:
    """What fills a table: indices into `rows` → their features, batch by batch of like length."""
    collate = dataclasses.replace(collate, pooled=frozenset({"speech", "text"}) - {modality})
    if modality == "speech":
        collate.tokenizer = None

    def batch_of(index: np.ndarray) -> tuple[Tensor, Tensor]:
        batch = collate([data[int(row)] for row in rows[index]]).to(branch.device)
        return batch.modality(modality)

    def say(index: np.ndarray, advance: Callable[[int], None]) -> np.ndarray:
        found = np.empty((len(index), *shape), np.float32)
        for places in reversed(by_budget(work[index], BUDGET[modality], most=MOST)):
            found[places] = branch.encode(*batch_of(index[places])).float().cpu().numpy()
            advance(len(places))
        return found

    return say


@contextmanager
def _undisturbed(branch: Branch, all_layers: bool) -> Iterator[None]:
    """Evaluation mode, perhaps all layers; then mode, layer and random numbers as before.

    Training must go on from the same state whether features were cached or not.
    """
    modes = [(module, module.training) for module in branch.modules()]
    encoder = branch.encoder
    before = encoder.layer
    branch.eval()
    if all_layers:
        encoder.layer = "weighted"
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
        encoder.layer = before


def weights_hash(module: nn.Module) -> str:
    """Name of all parameters and buffers of a module: equal weights, equal name."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def keys_of(hashes: Iterable[str]) -> np.ndarray:
    """Fingerprints of 16 hex digits as uint64 [N].

    >>> keys_of(["00000000000000ff"]).tolist()
    [255]
    """
    return np.array([int(h, 16) for h in hashes], np.uint64)
