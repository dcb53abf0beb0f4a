"""Tables that are computed from other tables: job stages, FOCUS costs."""
