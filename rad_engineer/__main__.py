"""The entry point; --version is answered before anything is imported."""

import os
import sys


def main() -> int:
    """Runs the command line and returns its exit code."""
    _open_standard_streams()
    argv = sys.argv[1:]
    if argv in (["--version"], ["-V"]):
        from rad_engineer import __version__  # noqa: PLC0415

        try:
            sys.stdout.write(f"rad-engineer {__version__}\n")
            sys.stdout.flush()
        except OSError as error:
            from rad_engineer.cli import unwritten  # noqa: PLC0415

            return unwritten(error, 0)
        return 0
    try:
        from rad_engineer.cli import main as run  # noqa: PLC0415

        return run(argv)
    except MemoryError:  # there was none even for saying so
        os.write(
            2, b"rad-engineer: error: out of memory\nhint: free memory, then run the same command again\n"
        )
        return 73


def _open_standard_streams() -> None:
    """Fills closed standard descriptors: a journal that became descriptor 1 would receive every print.

    Output never fails for a character that its encoding lacks.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]


if __name__ == "__main__":
    sys.exit(main())
