"""The model: encoders × fusion × head. `erc.model.emotion.EmotionModel` puts them together.

Enters: speech, tokens, physiology [B, …] with their lengths; never a label.
Leaves: `Encoded` after the encoders, `Output` after fusion and head; `folder/` keeps a model on disk.
May import: base, and the records of labels.
"""
