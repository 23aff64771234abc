"""The domain library and the query side; never imports celery."""
