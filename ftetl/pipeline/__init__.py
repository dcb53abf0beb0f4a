"""Runs one export: extract, transform, validate, load, commit. The only package that knows all steps."""
