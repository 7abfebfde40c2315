"""The starter's head, as data: what answers where there is no model of one's own.

Enters: nothing; `erc starter build` writes what lies here, `erc.model.folder.starter` reads it.
Leaves: weights without an encoder, graphs without weights, a card, a licence of their own.
May import: nothing.
"""
