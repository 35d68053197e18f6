"""test: smoke tests of this installation, with a certificate; what a certificate is worth."""

import os
import sys
from json import dumps
from pathlib import Path

from rad_engineer import durable, signals
from rad_engineer.core.printable import plain
from rad_engineer.delivery import certificate, signing
from rad_engineer.delivery import smoke as tests
from rad_engineer.errors import ExitCode, UsageError
from rad_engineer.gateway import credentials
from rad_engineer.settings import state_home

_MARKS = {"PASS": "✓", "FAIL": "✗", "SKIP": "-"}


def test(
    *, smoke: bool, verify: str | None, output: str | None, signers: str | None, max_age: int, json: bool
) -> int:
    """Runs the smoke tests, or looks a certificate through; 1 where not all is well."""
    if smoke == (verify is not None):
        raise UsageError("say what to test: --smoke, or --verify FILE", hint="rad-engineer test --smoke")
    if verify is not None:
        return _verify(Path(verify), signers, max_age, json=json)
    credentials.take()
    path = Path(output) if output else state_home(os.environ) / "certificate" / "readiness.json"
    with durable.writing(path, of_run=False):  # before what takes a while
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if signing.possible(os.environ):
        signing.own_key(os.environ)
    results = []
    with signals.unwinding():
        for name, one in tests.TESTS.items():
            results += tests.run({name: one})
            if not json:
                print(plain(_line(results[-1])), flush=True)
    good = tests.passed(results)
    durable.export(path, certificate.make(results, os.environ))
    key = signing.public_key(os.environ) if signing.possible(os.environ) else None
    by = (
        f"signed by {signing.fingerprint(key)}"
        if key
        else "UNSIGNED: neither ssh-keygen nor the extra crypto is here"
    )
    if json:
        rows = [result.to_json() for result in results]
        document = {
            "schema_version": 1,
            "passed": good,
            "tests": rows,
            "certificate": str(path),
            "signed_by": key,
        }
        print(dumps(document, indent=2))
    else:
        print(f"\nProduction Smoke Tests: {'ALL PASS' if good else 'NOT ALL PASS'}")
        print(plain(f"certificate: {path} ({by})"), file=sys.stderr)
    return ExitCode.OK if good else ExitCode.FAILED


def _line(result: tests.Result) -> str:
    told = "" if result.status == "PASS" else f" ({result.evidence})"
    return f"{_MARKS[result.status]} {result.name}: {result.status}{told}"


def _verify(file: Path, signers: str | None, max_age: int, *, json: bool) -> int:
    known = certificate.read_signers(Path(signers)) if signers else []
    found = certificate.check(file, os.environ, signers=known, max_age_days=max_age)
    if json:
        print(
            dumps(
                {"schema_version": 1, "valid": found.good, "answer": found.answer, "why": found.why}, indent=2
            )
        )
    else:
        print(plain(f"{file}: {found.answer}: {found.why}"))
    return ExitCode.OK if found.good else ExitCode.FAILED
