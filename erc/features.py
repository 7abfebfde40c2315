"""Batch → Output, and the pooled features of frozen encoders: computed once, kept on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from erc.batches import Batch, BucketSampler, Collator
from erc.datasets import HF_KEMD
from erc.files import atomic, fingerprint, lock
from erc.model.emotion import EmotionModel, Output

Tables = dict[str, Tensor]  # modality → pooled features [rows of the store, *Branch.shape],
# or [rows of the store, segments, *Branch.shape]


def run(
    model: EmotionModel, batch: Batch, tables: Tables | None = None, void_ok: bool = False
) -> Output:
    """`model(batch)`, taking from `tables` what frozen encoders have already said of its rows."""
    return model.fuse(*encode(model, batch, tables), void_ok)


def encode(
    model: EmotionModel, batch: Batch, tables: Tables | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """`model.encode(batch)`, with the same short cut."""
    tables = tables or {}
    pooled, present = {}, {}
    for modality, branch in model.branches.items():
        x, lengths = batch.modality(modality)
        if modality in tables:
            pooled[modality] = tables[modality][batch.rows.to(tables[modality].device)].to(x.device)
        else:
            pooled[modality] = branch.encode(x, lengths)
        present[modality] = branch.present(pooled[modality], lengths)
    return pooled, present


def pooled(
    model: EmotionModel, dataset: HF_KEMD, collate: Collator, cache: Path, batch_size: int = 16
) -> Tables:
    """What `Branch.encode` says of every utterance of the store, for each frozen encoder.

    Layers are not weighted yet, attention has not looked yet: what is trained stays out of the
    file. Only whole sequences (pooling "frames") are computed anew each time.

    The file is named by the encoder's weights and settings and by the recordings or transcripts it
    saw, so it can neither go stale nor be taken for another. Empty when nothing is frozen.

    Args:
        dataset: any side; all rows of its store are encoded.
        cache: folder of features.
    """
    everything = dataset.side("all")
    tables = {}
    for modality in model.modalities:
        if not model.branches[modality].cacheable:
            continue
        name = _name(model, modality, everything, collate)
        file = cache / "features" / f"{modality}-{name}.npy"
        with lock(file):
            if not file.exists():
                with torch.random.fork_rng(devices=[]):  # a cache hit must train the same model
                    table = _encode(model, modality, everything, collate, batch_size)
                with atomic(file) as temporary, temporary.open("wb") as handle:
                    np.save(handle, table)
        tables[modality] = torch.from_numpy(np.load(file))
    return tables


@torch.inference_mode()
def _encode(
    model: EmotionModel, modality: str, dataset: HF_KEMD, collate: Collator, batch_size: int
) -> np.ndarray:
    """Run one encoder over all rows; a row without this modality is zero."""
    model.eval()
    sampler = BucketSampler(dataset.lengths, batch_size, shuffle=False)
    loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate)
    device = next(model.parameters()).device
    found, rows = [], []
    for batch in loader:
        batch = batch.to(device)
        branch = model.branches[modality]
        found.append(branch.encode(*batch.modality(modality)).float().cpu())
        rows.append(batch.rows.cpu())
    table = np.zeros((len(dataset.store), *found[0].shape[1:]), np.float32)
    table[torch.cat(rows)] = torch.cat(found).numpy()
    return table


def _name(model: EmotionModel, modality: str, dataset: HF_KEMD, collate: Collator) -> str:
    branch = model.branches[modality]
    settings = [modality, branch.encoder.to_config(), branch.reduction]
    if branch.reduction == "segments":
        settings.append(branch.segments)
    if modality == "speech":
        seen = [dataset.wav_max_length, collate.normalize, *dataset.store.column("audio_hash")]
    else:
        backend = collate.tokenizer.backend_tokenizer
        backend.no_truncation()  # set by use; each call sets its own again
        backend.no_padding()
        tokenizer = fingerprint(backend.to_str().encode())
        seen = [collate.txt_max_length, tokenizer, *dataset.store.column("text")]
    return fingerprint([weights_hash(branch.encoder), settings, [str(s) for s in seen]])


def weights_hash(module: nn.Module) -> str:
    """Name of all parameters and buffers of a module: equal weights, equal name."""
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
