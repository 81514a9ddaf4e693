"""The exchanges of a running node: between the core, which decides, and people, ledger and post."""
