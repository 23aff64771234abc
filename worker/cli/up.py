"""`lookalike up`."""

import typer


def up() -> None:
    """Serve everything from this machine, and keep it running: broker, worker, index, API, gallery."""
    from worker.up import main  # noqa: PLC0415

    raise typer.Exit(main())
