"""Targets in object stores: reading their versions into a local copy, and committing new ones."""
