"""Commands on sources: what there is, and how a payload would be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, print_fields, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schema.journey import Journey, Source
    from schema.understood import Understood

JourneyFile = Annotated[
    Path | None, typer.Option("--journey", help="A journey file. None: the one that is shipped.", show_default=False)
]
_CHANNELS = {"form": "form", "api": "api", "email": "email", "events": "event", "import": "import", "hook": "hook"}
"""The channel of what comes in by each kind of source."""


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    sources = typer.Typer(no_args_is_help=True, help="Where leads come from.")
    sources.command(name="list")(list_sources)
    sources.command(name="test")(try_out)
    app.add_typer(sources, name="sources", rich_help_panel="Look and change")


def list_sources(
    journey: JourneyFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    List the sources of the active journeys, or of a journey file: the address to type in, and what is still missing.

    Example: throughline sources list --journey my.yaml
    """
    from schema.store.journeys import JourneyBook

    settings = read_settings(data_dir)
    if journey is not None:
        journeys: list[Journey] = [_journey(journey)]
    else:
        with transaction(settings) as connection:
            journeys = JourneyBook().active(connection)
    rows = [
        _listed(found.name, name, source, settings.base_url)
        for found in journeys
        for name, source in found.sources.items()
    ]
    if as_json:
        print_json({"items": rows})
        return
    columns = ["source", "kind", "provider", "address", "verify token", "missing"]
    keys = ["name", "kind", "provider", "address", "verify_token", "missing"]
    texts = [[", ".join(row[key]) if key == "missing" else row[key] for key in keys] for row in rows]
    print_table(columns, texts, empty="No journey is active.")


def try_out(
    file: Annotated[Path, typer.Argument(help="The payload, as the sender writes it. `-`: standard input.")],
    source: Annotated[str | None, typer.Option("--source", help="A source of the journey.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="The system that sends it.")] = None,
    content_type: Annotated[
        str, typer.Option("--content-type", help="What it is. None: what it looks like.", show_default=False)
    ] = "",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header it came with, as `name: value`.")
    ] = None,
    journey: JourneyFile = None,
    as_json: AsJson = False,
) -> None:
    """
    Show how a payload would be read: who, what, by which keys, and what could not be used. Nothing is stored.

    Needs no database. Exit status 1 where it would wait in quarantine.

    Example: throughline sources test payload.json --provider typeform
    """
    name, wanted = _source(journey, source, provider)
    body = _bytes(file)
    found = [_tried(name, wanted, each, content_type, _headers(header or ())) for each in _items(body, content_type)]
    if as_json:
        print_json(found[0] if len(found) == 1 else {"items": found})
    else:
        for index, each in enumerate(found):
            if index:
                print()
            _show(each)
    if any(each["status"] == "quarantined" for each in found):
        raise typer.Exit(1)


def _listed(journey: str, name: str, source: Source, base_url: str) -> dict[str, Any]:
    from schema.providers.signatures import secrets_of, verify_token

    variables = {variable: os.environ.get(variable, "") for variable in (source.secret, source.token) if variable}
    secrets = secrets_of(variables.get(source.secret or "", ""))
    path = {"form": f"/f/{name}", "hook": f"/hooks/{name}", "api": "/v1/leads", "events": "/v1/events"}.get(source.kind)
    asks = source.kind == "hook" and source.provider in {None, "meta_lead_ads"}
    return {
        "name": name,
        "journey": journey,
        "kind": source.kind,
        "provider": source.provider,
        "enabled": source.enabled,
        "address": f"{base_url.rstrip('/')}{path}" if path else source.address,
        "verify_token": verify_token(secrets[-1]) if secrets and asks else None,
        "missing": [variable for variable, value in variables.items() if not value],
    }


def _source(file: Path | None, name: str | None, provider: str | None) -> tuple[str, Source]:
    from schema.journey import Source
    from schema.journey.fields import nearest
    from schema.journey.source import PROVIDERS

    if provider is not None and provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise Permanent(
            "provider_unknown",
            f"There is no provider {provider}{nearest(provider, list(PROVIDERS))}; there are {known}.",
        )
    if name is None:
        return "hooks", Source(kind="hook", provider=provider)
    sources = _journey(file).sources
    if name not in sources:
        known = ", ".join(sources)
        raise Permanent(
            "source_unknown", f"There is no source {name}{nearest(name, list(sources))}; there are {known}."
        )
    found = sources[name]
    return name, found.model_copy(update={"provider": provider}) if provider else found


def _journey(file: Path | None) -> Journey:
    from schema.journey import JourneyInvalid, default_text, load

    try:
        return load(_bytes(file).decode() if file else default_text())
    except UnicodeDecodeError as error:
        raise Permanent("file_not_text", f"{file} is not UTF-8 text.") from error
    except JourneyInvalid as error:
        raise Permanent("journey_invalid", f"{file} cannot be used:\n{error}") from error


def _bytes(file: Path) -> bytes:
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise Permanent("file_unreadable", f"Cannot read {file}: {error.strerror}.") from error


def _headers(given: Iterable[str]) -> dict[str, str]:
    pairs = [line.partition(":") for line in given]
    if any(not colon for _, colon, _ in pairs):
        raise Permanent("header_invalid", "Write a header as `name: value`.")
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _items(body: bytes, content_type: str) -> list[bytes]:
    """The deliveries of an array, else the one there is."""
    from schema import payload
    from schema.providers.adapter import LIMITS, media

    try:
        return payload.split(body, media(content_type, body), each=LIMITS) or [body]
    except payload.Refused:
        return [body]
    except ValueError:  # not the array that it begins like; the reader says so
        return [body]


def _tried(name: str, source: Source, body: bytes, content_type: str, headers: dict[str, str]) -> dict[str, Any]:
    from schema import payload
    from schema.draft import match_keys
    from schema.providers import provider_of, values_of
    from schema.providers.adapter import media
    from schema.store import clock
    from schema.understand import understand
    from schema.understood import Raw

    channel = _CHANNELS[source.kind]
    kind = content_type or ("message/rfc822" if channel == "email" else media("", body))
    raw = Raw(channel, kind, body, headers, clock.now())
    values = values_of(raw)
    hook = provider_of(source, values, headers, kind) if channel == "hook" else None
    told: dict[str, Any] = {"source": name, "provider": hook.name or None if hook else source.provider}
    try:
        understood = understand(raw, source)
    except payload.Refused as refused:
        return told | {"status": "quarantined", "reason": refused.code, "detail": refused.detail}
    keys = [*match_keys(understood.draft, name), *understood.keys]
    return told | {
        "status": understood.outcome or ("understood" if keys else "quarantined"),
        "reason": understood.reason or (None if keys else "nothing_recognised"),
        "kind": understood.kind,
        "occurred_at": understood.occurred_at,
        "test": understood.test,
        "keys": [{"kind": kind, "key": key} for kind, key in keys],
        "draft": _draft(understood),
        "data": understood.data,
        "issues": [{"pointer": issue.pointer, "code": issue.code} for issue in understood.draft.issues],
        "suggested_map": understood.detail.get("suggested_map"),
        "paths": sorted(_paths(hook.answers(values))) if hook and values is not None and not hook.read else [],
    }


def _draft(understood: Understood) -> dict[str, Any]:
    """What is said of the person, without what is not."""
    import msgspec

    draft = {name: value for name, value in msgspec.to_builtins(understood.draft).items() if name != "issues" and value}
    for name, part in (("email", "address"), ("phone", "e164")):
        if name in draft:
            draft[name] = draft[name][part]
    draft["company"] = {name: value for name, value in draft.get("company", {}).items() if value}
    return {name: value for name, value in draft.items() if value}


def _paths(values: dict[str, Any], before: str = "") -> Iterable[str]:
    """What a `map` can name in this payload."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{before}{name}.")
        else:
            yield before + name


def _show(found: dict[str, Any]) -> None:
    """Print what was understood for somebody who writes a mapping."""
    fields: dict[str, object] = {
        "source": found["source"],
        "provider": found["provider"] or "none that is known",
        "status": " ".join(filter(None, [found["status"], found["reason"] and f"({found['reason']})"])),
    }
    if "draft" not in found:
        print_fields(fields | {"why": found["detail"]})
        return
    fields |= {"kind": found["kind"], "when": found["occurred_at"] or "as it arrives"}
    fields |= {"test": "yes, no figure counts it"} if found["test"] else {}
    fields |= {f"key {index}": f"{key['kind']} {key['key']}" for index, key in enumerate(found["keys"], 1)}
    for name, value in found["draft"].items():
        if isinstance(value, dict):
            fields |= {f"{name}.{member}": held for member, held in value.items()}
        else:
            fields[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    fields |= {f"issue {issue['code']}": issue["pointer"] or "/" for issue in found["issues"]}
    print_fields(fields)
    if found["suggested_map"]:
        print("\nThis mapping would probably do:")
        pairs = [f'"{path}": {field}' for path, field in found["suggested_map"].items()]
        print(f"  map: {{{', '.join(pairs)}}}")
    elif found["paths"] and found["status"] == "quarantined":
        print(f"\nA `map` can name: {', '.join(found['paths'])}")
