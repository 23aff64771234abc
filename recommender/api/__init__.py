"""The query API and the gallery page."""
