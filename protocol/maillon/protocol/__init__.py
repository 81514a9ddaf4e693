"""Maillon's records, keys and messages, for clients in any language to check their bytes against.

The package does no input or output: it opens no socket or file, reads no clock and draws no
random number. Time, randomness and keys are arguments. It needs `cryptography` and `msgpack`.
"""
