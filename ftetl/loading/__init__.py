"""The load step: writers of the tables, file formats, and `--publish`."""
