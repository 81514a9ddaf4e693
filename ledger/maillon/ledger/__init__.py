"""Accounts of the federation: mutual credit on chains that witnesses certify (spec/06).

The package stands between ``maillon.protocol`` and ``maillon.node``: it imports the protocol only,
does no I/O, reads no clock and draws no randomness. Formats live in `orders`, `entries`, `block`,
`quorum`, `messages` and `fraud`; every function here is told the federation's id, because each
signature and each id is made over it.
"""
