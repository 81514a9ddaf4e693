"""Find offers and demands: read words, index them, rank what matches, say why."""
