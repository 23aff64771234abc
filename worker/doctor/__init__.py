"""`lookalike doctor`: everything that a process needs, looked at from outside; nothing is changed."""
