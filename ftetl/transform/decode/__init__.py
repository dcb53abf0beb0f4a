"""Raw bytes of jobs to nested Arrow tables."""
