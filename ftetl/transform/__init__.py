"""The transform step: raw bytes in, Arrow tables out. Pure: no network, no store, no settings."""
