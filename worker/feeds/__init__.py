"""Feeds of product documents: JSON Lines, CSV or Parquet, in S3, on an https host or on a disk.

`open.py` opens them, `record.py` says what they give. Below lie the stores (`s3.py`, `https.py`, `local.py`:
where bytes come from), the formats (`jsonl.py`, `tables.py`, `parquet.py`: how bytes become records), and
`columns.py`, which turns a shop's column names and texts into those of a product document.
"""
