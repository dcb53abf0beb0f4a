"""Responses as bytes: blobs, the index of jobs, strict JSON, masking of secrets."""
