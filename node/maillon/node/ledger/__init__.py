"""Keep the accounts of a federation on a node: disk, streams and gossip around maillon.ledger.

`machine` decides and makes durable, without waiting for anything; `runner` carries what goes in
and out of it over the network; `desk` is what people ask of it.
"""
