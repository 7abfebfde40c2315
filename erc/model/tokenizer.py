"""Tokenizers: of a pretrained text encoder, or trained on the transcripts themselves."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erc.base.errors import CheckpointError, ConfigError, CorpusError
from erc.base.files import read_json
from erc.base.hub import from_hub

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

FAST, SETTINGS = "tokenizer.json", "tokenizer_config.json"
MAX_BYTES = 32 << 20  # of a tokenizer.json; one of 250,000 words in all languages has 17 MB
MAX_PARTS = 1000  # of normalizer, splitter and post-processor together
MAX_GROWTH = 64  # characters that replacements may make of one
BACKTRACKS = re.compile(r"\)[*+{]")  # a group repeated: (a+)+ takes 2^n steps

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0, 1, 2, 3, as RoBERTa counts


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of an encoder, by Hugging Face id or folder; nothing from it is executed.

    Raises:
        CheckpointError: nothing usable there, or one that only its own code could read.
    """
    from transformers import AutoTokenizer

    load = functools.partial(AutoTokenizer.from_pretrained, trust_remote_code=False)
    tokenizer = from_hub(load, name, "tokenizer")
    if not tokenizer.is_fast:
        raise CheckpointError(
            f"tokenizer: '{name}' has none that tokenizer.json could keep ({FAST}); convert it first"
        )
    return tokenizer


def open_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer in a model folder, for training and evaluation; answering uses `load_tokens`.

    Raises:
        CheckpointError: see `read`.
    """
    from transformers import PreTrainedTokenizerFast

    tokenizer, settings = read(folder), folder / SETTINGS
    given = read_json(settings, CheckpointError) if settings.is_file() else {}
    special = {}
    for role in ("bos", "eos", "unk", "sep", "pad", "cls", "mask"):
        token = given.get(f"{role}_token")
        token = token.get("content") if isinstance(token, dict) else token
        if isinstance(token, str) and tokenizer.token_to_id(token) is not None:
            special[f"{role}_token"] = token
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def load_tokens(folder: Path, most: int) -> Callable[[str], list[int]]:
    """Transcript → token ids, at most `most`, as `open_tokenizer(folder)` gives them.

    Raises:
        CheckpointError: see `read`; or more than `most` tokens frame every text.
    """
    tokenizer = read(folder)
    if most < (least := tokenizer.num_special_tokens_to_add(is_pair=False)):
        raise CheckpointError(f"{folder / FAST}: {least} tokens frame a text, {most} are taken")
    tokenizer.enable_truncation(most)
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text).ids


def read(folder: Path) -> Tokenizer:
    """`tokenizer.json` of a folder, checked before it is used; no other file, no class, no code.

    Refused is what would make a short text cost much, or the same text different tokens: patterns that
    backtrack, replacements that grow, dropout.

    Raises:
        CheckpointError: missing, too large, damaged, or refused.
    """
    from tokenizers import Tokenizer

    path = folder / FAST
    if path.is_file() and path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path}: more than {MAX_BYTES >> 20} MB; this is no tokenizer")
    value = read_json(path, CheckpointError)
    if problem := _problem(value):
        raise CheckpointError(f"{path}: {problem}; save it again from a tokenizer that you trust")
    try:
        tokenizer = Tokenizer.from_file(str(path))
        if not tokenizer.encode("a").ids:
            raise ValueError("it makes no tokens of a text")
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library panics, which is no Exception
        raise CheckpointError(f"{path}: not a tokenizer: {str(error)[:200]}") from None
    return tokenizer


def _problem(value: dict[str, Any]) -> str:
    """Why a `tokenizer.json` is not used; "": nothing speaks against it."""
    model = value.get("model")
    if not isinstance(model, dict):
        return "it has no model"
    if model.get("dropout"):
        return "dropout would give the same text other tokens each time"
    rest = {k: v for k, v in value.items() if k not in ("model", "added_tokens")}
    growth, parts, pending = 1, 0, [rest]
    while pending:
        one = pending.pop()
        parts += 1
        if isinstance(one, dict):
            if one.get("type") in ("Replace", "Prepend"):
                growth *= max(1, len(str(one.get("content", one.get("prepend", "")))))
            pattern = one.get("Regex")
            if isinstance(pattern, str) and (len(pattern) > 1000 or BACKTRACKS.search(pattern)):
                return f"its pattern {pattern[:60]!r} could take for ever"
            pending += one.values()
        elif isinstance(one, list):
            pending += one
    if parts > MAX_PARTS or growth > MAX_GROWTH:
        return "its normalizer or post-processor would make a short text very long"
    return ""


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2000) -> PreTrainedTokenizerFast:
    """Byte-pair encoding learned from transcripts, for work without any download.

    Text is NFC-normalised (Hangul as syllables, not letters), words start with "▁", a text becomes
    `<s> … </s>`. The same texts give the same tokenizer.

    Args:
        texts: transcripts; empty ones are skipped.
        vocab_size: at most so many tokens, `SPECIAL` included; syllables beyond are `<unk>`.

    Raises:
        CorpusError: no text at all.
        ConfigError: no room for any token.

    >>> tokenizer = train_tokenizer(["오늘 기분이 좋아", "오늘 비가 와"])
    >>> tokenizer.decode(tokenizer("오늘 비가 와")["input_ids"], skip_special_tokens=True)
    '오늘 비가 와'
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    texts = [text for text in texts if text and text.strip()]
    if not texts:
        raise CorpusError("no transcript to train a tokenizer on: every text is empty")
    if vocab_size <= len(SPECIAL):
        raise ConfigError(f"vocab_size {vocab_size} leaves no room beside {', '.join(SPECIAL)}")
    begin, pad, end, unknown = SPECIAL
    tokenizer = Tokenizer(models.BPE(unk_token=unknown))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace("\n", " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    # The trainer breaks ties between rare syllables at random; ours goes by code point.
    counts = Counter("".join(map(tokenizer.normalizer.normalize_str, texts)).replace(" ", "▁"))
    counts["▁"] += len(texts)
    alphabet = sorted(counts, key=lambda c: (-counts[c], c))[: vocab_size - len(SPECIAL)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        min_frequency=2,  # a pair seen once is no evidence of a word
        special_tokens=list(SPECIAL),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A {end}",
        pair=f"{begin} $A {end} $B {end}",
        special_tokens=[(begin, SPECIAL.index(begin)), (end, SPECIAL.index(end))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        pad_token=pad,
        eos_token=end,
        unk_token=unknown,
        cls_token=begin,
        sep_token=end,
    )
