"""The `driftline` command: parses, dispatches, translates errors into exit codes.

A command's module is imported only when it is called: `check` must not wait for, nor need, what
`drift` reads its files with.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from driftline import __version__
from driftline.errors import DriftlineError

from driftline_cli.exits import (
    BROKEN_PIPE,
    EX_SOFTWARE,
    EX_UNAVAILABLE,
    EX_USAGE,
    INTERRUPTED,
    exit_code,
)

COMMANDS = {
    "profile": "build a reference profile from data, show one, put it into a cluster",
    "drift": "compare two data files, or a profile and a data file",
    "check": "check a monitor file: every problem at once",
    "run": "put Driftline in front of a model on this machine",
    "shadow": "compare two models on the same requests",
    "labels": "send what became true of predictions to the hub",
    "hub": "remember predictions and take labels, on this machine",
    "top": "watch a running Driftline in the terminal",
}

_EXAMPLES = """\
examples:
  driftline check monitor.yaml
  driftline profile build reference.parquet -f monitor.yaml -o model.profile
  driftline run -f monitor.yaml --profile model.profile --upstream http://127.0.0.1:8080
  driftline top
  driftline shadow diff -f monitor.yaml --upstream http://127.0.0.1:8080 --shadow http://127.0.0.1:8081 \\
    --less-than-a-day
  driftline hub -f monitor.yaml --profile model.profile
  driftline labels push truth.csv --id-column id --label-column late --url https://hub:8090 \\
    --token-file token --monitor flights
  driftline drift reference.parquet current.parquet --format json

`driftline COMMAND --help` tells more. Exit codes: 0 fine, 3 drift found, 4 too little data for a verdict,
64 wrong usage, 65 bad data, 66 no such input, 69 not available, 70 a fault of Driftline, 73 can't write,
74 reading or writing failed, 78 a bad monitor file.
"""

_EXTRAS = {"duckdb", "pyarrow", "rich"}


class Parser(argparse.ArgumentParser):
    """Ends with EX_USAGE where argparse would end with 2."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to find out more."""
        self.exit(EX_USAGE, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


class MissingExtra(DriftlineError):
    """A command needs a library that only the extra `cli` brings."""

    exit_code = EX_UNAVAILABLE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Usage errors and --help raise SystemExit."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()  # here, so that a reader that has gone is noticed here
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (DriftlineError, OSError) as error:
        for line in str(error).splitlines():
            print(f"driftline: {line}", file=sys.stderr)
        return exit_code(error)
    except Exception:  # noqa: BLE001 - the last resort: say so, with what a report needs
        traceback.print_exc()
        print("driftline: this is a fault of Driftline; please report it", file=sys.stderr)
        return EX_SOFTWARE
    return code


def _dispatch(arguments: list[str]) -> int:
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    module = _load(chosen) if chosen in COMMANDS else None
    if chosen is not None and module is not None and hasattr(module, "forward"):
        # Another program, which parses its arguments itself.
        module.forward(arguments[arguments.index(chosen) + 1 :])
    namespace = _parser(chosen, module).parse_args(arguments)
    assert module is not None  # noqa: S101 - the parser has refused any other command
    code: int = module.run(namespace)
    return code


def _load(command: str) -> ModuleType:
    try:
        return importlib.import_module(f"driftline_cli.commands.{command}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRAS:
            raise
        raise MissingExtra(
            f"`driftline {command}` needs {error.name}, which is not installed: pip install 'driftline[cli]'"
        ) from error


def _parser(chosen: str | None, module: ModuleType | None) -> Parser:
    parser = Parser(
        prog="driftline",
        description="Watches deployed models: latency, data quality and drift.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"driftline {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__ if module is not None and name == chosen else summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module is not None and name == chosen:
            module.add_arguments(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
