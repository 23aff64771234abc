"""`lookalike doctor`: is everything as a worker needs it, and what to do about what is not."""

from dataclasses import asdict

import typer

from worker.cli.output import AsJson, print_json, print_lines

MARKS = {"ok": "ok  ", "warn": "warn", "fix": "FIX "}


def doctor(as_json: AsJson = False) -> None:
    """Check Redis, messages, device, encoder, index, buckets and this machine; says what to fix.

    Exits with 1 if anything must be fixed. Changes nothing.
    """
    from config.settings import load_settings  # noqa: PLC0415
    from worker.doctor.examination import examine  # noqa: PLC0415

    findings = []
    for finding in examine(load_settings()):
        findings.append(finding)
        if not as_json:
            print_lines(f"{MARKS[finding.state]} {finding.subject}: {finding.found}")
            if finding.remedy:
                print_lines(f"     {finding.remedy}")
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.state == "fix" for finding in findings):
        raise typer.Exit(1)
