"""`lookalike schema`."""

from worker.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of every event."""
    from recommender.events import json_schema  # noqa: PLC0415

    print_json(json_schema())
