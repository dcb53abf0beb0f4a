"""Runs one export: extract, transform, load, validate, commit. The only package that knows all steps."""
