"""The HTTP client of the Together AI API: transport, retries, response checks, errors."""
