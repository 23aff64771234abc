"""A model swap: another collection is filled beside the serving one, proven, judged, and flipped to."""
