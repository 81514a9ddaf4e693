"""Bring offers and demands together: proposals, saved searches, marks and relays."""
