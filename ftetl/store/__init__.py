"""The target folder on disk: lock, manifest, transaction, commit, cleanup. Bytes and names only."""
