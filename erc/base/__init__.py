"""What knows nothing of emotion: errors, files, the hub, audio, text, body signals, devices, progress.

Enters: paths, bytes, samples. Leaves: samples, tokens of text, fingerprints, errors in one line.
May import: nothing of erc.
"""
