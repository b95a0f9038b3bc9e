"""The sources of a journey: what each kind of them can have, and forms that can be filled in."""

from __future__ import annotations

from collections.abc import Iterator

from schema.journey.check.finding import Finding, View
from schema.journey.source import IDS_ONLY, PROVIDERS

OURS = "throughline"
"""The source of what happens here: answers, deals, contracts."""


def names(view: View) -> Iterator[Finding]:
    """A source that would be taken for our own work."""
    if OURS in view.journey.sources:
        message = f"{OURS} is the source of what happens here itself: give this one another name"
        yield Finding(("sources", OURS), message, of_key=True)


def hooks(view: View) -> Iterator[Finding]:
    """Keys that are for hooks only, and a provider whose answers nobody could fetch."""
    for name, source in view.journey.sources.items():
        for key in ("provider", "token"):
            if source.kind != "hook" and getattr(source, key) is not None:
                yield Finding(("sources", name, key), f"only sources of kind hook have a {key}")
        if source.provider in IDS_ONLY and source.token is None:
            message = f"{PROVIDERS[source.provider]} only sends ids: name the environment variable of its `token`"
            yield Finding(("sources", name, "provider"), message)


def forms(view: View) -> Iterator[Finding]:
    """Keys that are for forms only, fields that stand twice, and a confirmation that nobody could be asked for."""
    for name, source in view.journey.sources.items():
        for key in ("fields", "consent", "double_opt_in"):
            if source.kind != "form" and getattr(source, key):
                message = f"`{key}` is for sources of kind form; this one is of kind {source.kind}"
                yield Finding(("sources", name, key), message)
        seen: set[str] = set()
        for index, field in enumerate(source.fields):
            if field.name in seen:
                message = f"{field.name} stands twice; each field has a name of its own"
                yield Finding(("sources", name, "fields", index), message)
            seen.add(field.name)
        if source.double_opt_in and source.fields and not any(field.kind == "email" for field in source.fields):
            message = "nobody can be asked to confirm without an e-mail field"
            yield Finding(("sources", name, "double_opt_in"), message)
