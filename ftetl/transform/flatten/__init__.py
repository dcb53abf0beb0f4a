"""Nested Arrow tables to the flat tables of the contracts."""
