"""The detector as a service: one model in memory behind a web page and an HTTP API."""
