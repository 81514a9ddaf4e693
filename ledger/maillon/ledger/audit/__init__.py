"""Prove a federation's accounts right, or say what is wrong and since which block (spec/07)."""
