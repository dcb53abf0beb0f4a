"""The load step: writers of the tables, file formats, `--publish`, and the destinations of `ftetl load`."""
