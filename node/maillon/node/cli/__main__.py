"""`python -m maillon.node.cli` is the command `maillon`."""

from maillon.node.cli import main

main()
