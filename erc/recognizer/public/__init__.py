"""Models that others published, opened as they are: no code of theirs, no pickle, their own labels.

Enters: the folder or hub id of an audio or text classifier of transformers, of a head for arousal,
dominance and valence, or two of them (late fusion).
Leaves: a `Runtime` and what a recognizer must know of it; torch is imported when it is opened.

- `labels` labels → names of a `Space`, and what they mean
- `files` `folder` what a folder holds, judged before anything is loaded
- `weights` `speech` `text` the models themselves, by torch
- `runtime` `late` → `Runtime`, of one model and of two
- `opened` a name → what `erc.load` makes a recognizer of
- `known` `known.csv` models that are known, with what their cards say
"""
