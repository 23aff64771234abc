"""What a refresh does, one file a phase: `scan`, `listing`, `comparing`, `retiring`; and what they share.

`position.py` says how far it is, `notes.py` keeps in Redis what a later step needs, `known.py` holds it in memory.
The phases know no Celery: they are told by `worker/jobs/refresh.py` how to publish.
"""
