"""Predictions beside what raters said -> metrics, intervals, human reference, tables and plots.

Enters: probabilities, dimensions, votes, ratings. Leaves: `Scored` (predictions.csv) and `Results`
(results.json). May import: base, corpora, labels.
"""
