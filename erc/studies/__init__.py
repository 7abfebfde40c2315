"""What is made of several runs, or of one looked at as a whole.

Enters: configurations and finished runs. Leaves: tables, figures and reports over folds and choices.
May import: everything down to training.
"""
