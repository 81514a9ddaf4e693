"""Keep records, in SQLite for a node and in dictionaries for the simulator; and the register."""
