"""The `lookalike` command: one file a group of commands, each importing what is heavy when it runs."""

import sys

import typer

from recommender.errors import LookalikeError
from worker.cli.audit import audit
from worker.cli.bench import bench
from worker.cli.catalog import refresh, reindex, rollback
from worker.cli.clusters import clusters
from worker.cli.dead_letters import dead_letters
from worker.cli.demo import demo
from worker.cli.doctor import doctor
from worker.cli.duplicates import duplicates
from worker.cli.evaluate import evaluate
from worker.cli.jobs import jobs
from worker.cli.plan import plan
from worker.cli.publish import publish
from worker.cli.schema import schema
from worker.cli.similar import similar
from worker.cli.up import up

app = typer.Typer(
    help="Product events in, visually similar products out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo,
    up,
    publish,
    similar,
    duplicates,
    clusters,
    evaluate,
    refresh,
    reindex,
    rollback,
    audit,
    schema,
    doctor,
    bench,
    plan,
):
    app.command()(command)
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(jobs, name="jobs")


def main() -> None:
    """Run the command line; what goes wrong is one line on standard error and exit code 1."""
    try:
        app()
    except LookalikeError as error:
        _fail(error)
    except Exception as error:
        from config.settings import ConfigurationError  # noqa: PLC0415  # --help needs no settings

        if not isinstance(error, ConfigurationError):
            raise
        _fail(error)


def _fail(error: Exception) -> None:
    sys.stderr.write(f"lookalike: {error}\n")
    sys.exit(1)
