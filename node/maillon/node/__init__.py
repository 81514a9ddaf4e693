"""The node: the daemon that one coop or municipality runs, and its command line."""
