"""What a refresh does, one file a phase: `scan`, `listing`, `comparing`, `retiring`; and what they share.

`position.py` says how far it is, `notes.py` keeps in Redis what later steps need, `known.py` is how they
hold it in memory. `worker/jobs/refresh.py` runs the phases, and tells them how to publish.
"""
