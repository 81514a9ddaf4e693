"""Accounts of the federation: the layer between ``maillon.protocol`` and ``maillon.node``.

The package holds no code yet. It fixes the place of the accounts in the order of imports: the
ledger may import ``maillon.protocol`` only, does no I/O, and knows nothing of the node.
"""
