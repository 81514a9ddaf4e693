"""The node: the daemon one coop or municipality runs (engine, store, network, API, command line)."""
