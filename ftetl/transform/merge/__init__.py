"""The new rows over those of the last snapshot."""
