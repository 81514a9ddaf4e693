"""Carry letters: the driver of the post office on a running node (spec/08-letters)."""
