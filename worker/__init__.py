"""Celery, and everything that runs in the background."""
