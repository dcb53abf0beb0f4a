"""Settings, limits, credentials."""
