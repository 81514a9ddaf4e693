"""Hand the ledger to others: as a federation export, and as what accounting programs read."""
