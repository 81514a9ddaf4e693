"""The node's local HTTP interface, through which the command line and other programs use it.

`shapes` says what goes over it, `service` what the node behind it must be able to do, `app` maps
one to the other, `server` serves it on a socket inside the node's own trio loop.
"""
