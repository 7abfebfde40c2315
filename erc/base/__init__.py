"""What knows no corpus, label or model: errors, files, audio, text, body signals, devices, a voice.

Enters: paths, bytes, samples. Leaves: samples, tokens of text, fingerprints, errors in one line.
May import: nothing of erc.
"""
