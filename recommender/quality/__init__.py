"""How good answers are, measured from the shop's own catalog, and whether another encoder may take over."""
