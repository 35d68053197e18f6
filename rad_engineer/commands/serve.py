"""serve: what runs have done and are doing, over HTTP, until a signal comes."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rad_engineer import settings
from rad_engineer.errors import ExitCode
from rad_engineer.launch import ground


def serve(*, runs: Sequence[str], flags: Mapping[str, object]) -> int:
    """Prints where it listens, then answers."""
    from rad_engineer.server import configuration, program, sockets  # noqa: PLC0415 -- after everything that is quick
    from rad_engineer.server import runs as past  # noqa: PLC0415

    place = ground.look(os.environ)
    serving = configuration.configured(settings.with_flags(place.settings, flags), os.environ)
    found = past.of_folders(runs, place) if runs else past.of_project(place)
    listener = sockets.listen(serving)

    def tell(_stop: object) -> None:  # signals are heard by now
        print(f"listening on {sockets.url(serving, listener)}", flush=True)
        for note in configuration.notes(serving):
            print(f"note: {note}", file=sys.stderr, flush=True)

    program.serve(serving, found, listener, tell)
    return ExitCode.OK


def token(file: str | None = None) -> int:
    """Makes a token, and prints the file that has it: never the token itself."""
    from rad_engineer.server import configuration, tokens  # noqa: PLC0415

    path = Path(file) if file else configuration.own_token_file(os.environ)
    tokens.create(path)
    print(path)
    return ExitCode.OK
