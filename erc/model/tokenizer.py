"""Tokenizers: of a pretrained text encoder, or trained on the transcripts themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from erc.base.errors import ConfigError, CorpusError
from erc.base.hub import from_hub

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # ids 0, 1, 2, 3, as RoBERTa counts


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a Hugging Face id or folder; nothing from it is executed.

    Raises:
        CheckpointError: nothing usable there.
    """
    from transformers import AutoTokenizer

    return from_hub(AutoTokenizer.from_pretrained, name, "tokenizer")


def load_tokens(folder: Path, most: int) -> Callable[[str], list[int]]:
    """Transcript → token ids, at most `most`, as `load_tokenizer(folder)` gives them.

    A `tokenizer.json` needs only the tokenizers library, which loads in a tenth of the time.
    """
    fast = folder / "tokenizer.json"
    if not fast.is_file():
        slow = load_tokenizer(str(folder))
        return lambda text: slow(text, truncation=True, max_length=most)["input_ids"]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(fast))
    tokenizer.enable_truncation(most)
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text).ids


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
