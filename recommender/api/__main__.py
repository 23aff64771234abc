"""`python -m recommender.api`: the query API as a process of its own."""

import signal
import sys
from threading import Event
from types import FrameType

from config.logging import configure_logging
from config.settings import ConfigurationError, load_settings
from recommender.api.app import create_app
from recommender.api.serve import serve_in_main_thread
from recommender.errors import LookalikeError
from recommender.resources import open_resources


def main() -> int:
    """Serve until told to end; 2 where the settings or the parts don't allow a start."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal again once it has stopped: the resources must still be closed.
        signal.signal(number, _leave)
    try:
        settings = load_settings()
        configure_logging(settings.log)
        # The signal handler's SystemExit cuts any waiting short.
        with open_resources(settings, stopped=Event().wait, following="api") as resources:
            serve_in_main_thread(create_app(resources, settings), settings.api.host, settings.api.port)
    except (ConfigurationError, LookalikeError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
