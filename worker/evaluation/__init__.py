"""`lookalike evaluate`: what is evaluated, against what, and the report."""
