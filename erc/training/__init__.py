"""Configuration -> assembly -> features -> task -> run.

Enters: a Hydra configuration. Leaves: a run folder with checkpoints, scores and a model folder.
May import: base, corpora, labels, datasets, model, scores.
"""
