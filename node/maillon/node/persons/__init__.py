"""Persons of a coop: paper cheques, keys and their recovery, groups, moving, privacy."""
