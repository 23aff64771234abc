"""The audit: the index compared with the feed, the buckets and itself.

`census.py` reads everything that the index holds into a few bytes a product. The checks follow, one file
each: `points.py` (the index alone), `buckets.py`, `feed.py`, `shared.py`. `kinds.py` says what can be found,
`findings.py` gathers it, `report.py` and `page.py` tell it, `repair.py` publishes what mends it.
"""
