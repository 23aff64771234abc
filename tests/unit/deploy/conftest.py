"""What the files below deploy/ say, read the way that compose and Kubernetes read them."""

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.app.utils import find_app
from celery.bin.celery import celery

from config.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[3]
LoadSettings = Callable[[Mapping[str, Any]], Settings]

_VARIABLE = re.compile(rf"\b{PREFIX}[A-Z0-9_]+")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def deploy() -> Path:
    return ROOT / "deploy"


@pytest.fixture(scope="session")
def read_yaml() -> Callable[[Path], list[Any]]:
    """The documents of one file."""
    return lambda path: list(yaml.safe_load_all(path.read_text()))


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LoadSettings:
    """The settings of a process with this environment, outside of any folder with a `.env`."""

    def load(environment: Mapping[str, Any]) -> Settings:
        monkeypatch.chdir(tmp_path)
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, str(value))
            return load_settings()

    return load


@pytest.fixture(scope="session")
def named_variables() -> Callable[[Path], set[str]]:
    """Every setting that a file names, in comments too."""
    return lambda path: set(_VARIABLE.findall(path.read_text()))


@pytest.fixture(scope="session")
def check_command() -> Callable[[list[str]], None]:
    """Fail unless the command names a module, or a Celery app, subcommand and options, that exist."""

    def check(command: list[str]) -> None:
        program, option, name, *rest = command
        if program == "python":
            assert option == "-m"
            assert rest == []
            module = find_spec(name)
            assert module is not None
            assert module.origin is not None
            assert '__name__ == "__main__"' in _main(Path(module.origin)).read_text()
            return
        assert (program, option) == ("celery", "-A")
        assert find_app(name).main == "lookalike"
        subcommand = celery.commands[rest[0]]
        known = {spelling for parameter in subcommand.params for spelling in parameter.opts}
        assert {argument for argument in rest if argument.startswith("-")} <= known

    return check


def _main(origin: Path) -> Path:
    """What `python -m` runs: the module, or the package's `__main__`."""
    return origin.with_name("__main__.py") if origin.name == "__init__.py" else origin
