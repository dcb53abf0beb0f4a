"""The extract step: the API client, sources of responses, details of jobs, privacy, the raw archive.

Does not depend on the transform and validate steps.
"""
