"""Journeys over HTTP: a file is kept, found fault with, switched on and back, and leads are moved over to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from schema.journey import JourneyInvalid, default_text, load
from schema.journey.document import LARGEST
from schema.store.engine import make_async_engine, make_engine
from schema.store.journeys import JourneyBook
from services.api import journey_shapes, shapes
from services.sources import Sources
from tests.door import api_thread
from tests.integration.test_versions import small
from tests.management import Site, fresh_database, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator

YAML = {"Content-Type": "application/yaml"}


@pytest.fixture
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


@pytest.fixture(scope="module")
def shared_site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def put(site: Site, document: str | bytes, status: int, **headers: str) -> Any:  # noqa: ANN401
    answer = site.client.put("/v1/journeys", content=document, headers=YAML | headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def active(site: Site) -> dict[str, str]:
    return {entry["name"]: entry["version"] for entry in site.get("/v1/journeys")["items"] if entry["active"]}


def stored(site: Site) -> set[str]:
    return {entry["version"] for entry in site.get("/v1/journeys")["items"]}


# -- keeping -----------------------------------------------------------------------------------------------------------


def test_a_file_is_kept_as_a_version_once_and_not_switched_on(site: Site) -> None:
    before = active(site)
    kept = put(site, small(), 201)
    again = put(site, "# the same, with a comment\n" + small(), 200)

    journey_shapes.JourneyStored.model_validate(kept)
    assert kept["version"] == again["version"] == load(small()).version
    assert (kept["new"], again["new"], kept["active"], kept["open_leads"]) == (True, False, False, 0)
    assert active(site) == before
    shown = site.get(f"/v1/journeys/{kept['version']}")
    shapes.JourneyDocument.model_validate(shown)
    assert shown["document"] == small()


def test_everything_that_is_wrong_with_a_file_is_told_with_its_place_and_nothing_is_kept(site: Site) -> None:
    before = stored(site)
    problem = put(site, small().replace("win: won", "win: wom").replace("ana: 1", "anna: 1"), 422)

    assert problem["code"] == "journey_invalid"
    paths = {finding["path"] for finding in problem["findings"]}
    assert {"lifecycle.asked.to.win", "route.pools.everybody.members.anna"} <= paths
    for finding in problem["findings"]:
        journey_shapes.Finding.model_validate(finding)
    assert all(finding["line"] > 0 for finding in problem["findings"])
    assert stored(site) == before


def test_a_body_that_is_no_journey_file_is_refused(site: Site) -> None:
    assert put(site, b"\xff\xfe", 400)["code"] == "body_not_text"
    assert put(site, "[]", 422)["code"] == "journey_invalid"
    assert put(site, "", 422)["code"] == "journey_invalid"
    assert put(site, small(), 415, **{"Content-Type": "application/json"})["code"] == "media_type_unsupported"
    assert put(site, "#" * (LARGEST + 1), 413)["code"] == "body_too_large"
    assert put(site, small() + "#" * (100 * 1024), 201)["new"]


def test_who_may_read_may_not_change(site: Site) -> None:
    version = put(site, small(), 201)["version"]
    reader = site.key("journeys:read")
    for method, path in (
        ("PUT", "/v1/journeys"),
        ("POST", f"/v1/journeys/{version}/activate"),
        ("POST", "/v1/journeys/default/rollback"),
        ("POST", f"/v1/journeys/{version}/migrations"),
    ):
        body: dict[str, Any] = {"json": {}} if path.endswith("migrations") else {"content": small()}
        answer = site.client.request(method, path, headers=YAML | reader if "content" in body else reader, **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), path


# -- switching ---------------------------------------------------------------------------------------------------------


def test_a_version_is_switched_on_after_a_dry_run_that_changes_nothing_and_back_again(site: Site) -> None:
    first = active(site)["default"]
    lead = site.seed.lead()
    version = put(site, small(), 201)["version"]

    tried = site.post(f"/v1/journeys/{version}/activate?dry_run=true")
    assert active(site)["default"] == first
    done = site.post(f"/v1/journeys/{version}/activate")
    journey_shapes.Switched.model_validate(done)
    assert active(site)["default"] == version
    assert done == tried | {"dry_run": False}
    assert (done["before"], done["changed"]) == (first, True)
    assert done["staying"] == [{"version": first, "open_leads": 1}]
    assert done["differences"]
    assert site.post(f"/v1/journeys/{version}/activate")["changed"] is False

    assert site.post("/v1/journeys/default/rollback?dry_run=true")["version"] == first
    assert active(site)["default"] == version
    assert site.post("/v1/journeys/default/rollback")["version"] == first
    assert active(site)["default"] == first
    assert site.post("/v1/journeys/default/rollback", status=409)["code"] == "nothing_before"
    assert site.get(f"/v1/leads/{lead}")["journey"] == first
    log = [entry["actor"] for entry in site.get(f"/v1/journeys/{version}")["activations"]]
    assert [actor.startswith("key:") for actor in log] == [True]


@pytest.mark.parametrize("name", ["nothing", "%00", "%F0%9F", "0" * 12, "a b"])
def test_what_there_is_not_cannot_be_switched_on_or_back(site: Site, name: str) -> None:
    for path, body in ((f"{name}/activate", None), (f"{name}/rollback", None), (f"{name}/migrations", {})):
        assert site.post(f"/v1/journeys/{path}", body, 404)["code"] == "journey_not_found"


def test_a_journey_that_wants_a_source_of_another_is_not_switched_on(site: Site) -> None:
    version = put(site, small("partners"), 201)["version"]
    problem = site.post(f"/v1/journeys/{version}/activate", status=409)
    assert (problem["code"], problem["sources"]) == ("source_claimed", ["website"])
    assert problem["journeys"] == ["partners", "default"]


def test_a_kept_version_that_is_not_in_order_for_this_code_is_not_switched_on(site: Site) -> None:
    version = put(site, small(), 201)["version"]
    with site.engine.begin() as connection:
        connection.execute(text("UPDATE journey SET document = 'journey: default' WHERE version = :v"), {"v": version})
    problem = site.post(f"/v1/journeys/{version}/activate", status=422)
    assert problem["code"] == "journey_invalid"
    assert problem["findings"]


_LINES = default_text().splitlines(keepends=True)
_EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("drop"), st.integers(0, len(_LINES) - 1), st.just("")),
        st.tuples(st.just("repeat"), st.integers(0, len(_LINES) - 1), st.just("")),
        st.tuples(st.just("indent"), st.integers(0, len(_LINES) - 1), st.just("")),
        st.tuples(
            st.just("word"),
            st.integers(0, len(_LINES) - 1),
            st.sampled_from(["lead", "nobody", "-1", "true", "[]", "{}", "'x", "90d", "person.email", "website", "&a"]),
        ),
    ),
    min_size=1,
    max_size=3,
)


def edited(edits: list[tuple[str, int, str]]) -> str:
    lines = list(_LINES)
    for kind, at, word in edits:
        line = lines[at]
        if kind == "word":
            line = f"{line.partition(':')[0]}: {word}\n"
        lines[at] = {"drop": "", "repeat": line * 2, "indent": f" {line}", "word": line}[kind]
    return "".join(lines)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=_EDITS)
def test_a_broken_file_can_never_become_active(shared_site: Site, edits: list[tuple[str, int, str]]) -> None:
    document = edited(edits)
    before = active(shared_site)
    try:
        version = load(document).version
    except JourneyInvalid:
        put(shared_site, document, 422)
    else:
        answer = shared_site.client.put("/v1/journeys", content=document, headers=YAML)
        assert answer.status_code in {200, 201}
        assert answer.json()["version"] == version
        assert active(shared_site) == before
        switched = shared_site.client.post(f"/v1/journeys/{version}/activate")
        assert switched.status_code in {200, 409}, switched.text
    for entry in shared_site.get("/v1/journeys")["items"]:
        if entry["active"]:
            kept = shared_site.get(f"/v1/journeys/{entry['version']}")["document"]
            assert load(kept).version == entry["version"]


# -- migrating ---------------------------------------------------------------------------------------------------------


def test_leads_are_migrated_after_a_dry_run_and_what_is_stuck_is_told(site: Site) -> None:
    first = active(site)["default"]
    lead = site.seed.opportunity(owner="ana")
    version = put(site, small(), 201)["version"]
    path = f"/v1/journeys/{version}/migrations"

    tried = site.post(path, {"from": first, "dry_run": True})
    journey_shapes.Migrated.model_validate(tried)
    assert [(stuck["state"], stuck["leads"]) for stuck in tried["stuck"]] == [("opportunity", 1)]
    refused = site.post(path, {"from": first}, 422)
    assert (refused["code"], refused["stuck"]) == ("leads_stuck", tried["stuck"])
    assert site.post(path, {"from": first, "map": {"opportunity": "aske"}}, 422)["code"] == "state_unknown"
    assert site.get(f"/v1/leads/{lead}")["journey"] == first

    done = site.post(path, {"map": {"opportunity": "asked"}})
    assert (done["migrated"], done["left"], done["stuck"]) == (1, 0, [])
    shown = site.get(f"/v1/leads/{lead}")
    assert (shown["journey"], shown["state"], shown["next_step"]) == (version, "asked", "qualify")
    [why] = site.get(f"/v1/leads/{lead}/why")["decisions"]
    assert why["text"] == f"Follows version {version} of its journey from now on, instead of {first}."
    assert why["because"] == ["It stays where it was: opportunity is asked there.", "ana keeps it."]


def test_a_migration_names_only_what_it_knows(site: Site) -> None:
    version = put(site, small(), 201)["version"]
    for body in ({"form": "x"}, {"from": 3}, {"map": ["a"]}, {"map": {"\x00": "asked"}}, {"dry_run": "perhaps"}):
        assert site.post(f"/v1/journeys/{version}/migrations", body, 422)["code"] == "validation_failed"
    assert site.post(f"/v1/journeys/{version}/migrations", {"from": "%"}, 404)["code"] == "journey_not_found"


# -- what takes leads follows ------------------------------------------------------------------------------------------


def test_the_sources_follow_an_activation_and_outlast_a_version_that_cannot_be_read(site: Site) -> None:
    version = put(site, small(source="fair"), 201)["version"]
    future = put(site, small(source="moon"), 201)["version"]

    async def told() -> list[Any]:
        engine = make_async_engine(site.url, name="test")
        sources = Sources(engine, JourneyBook(fresh_s=0))
        await sources.refresh()
        found: list[Any] = [sources.find("website") is not None]
        await asyncio.to_thread(site.post, f"/v1/journeys/{version}/activate")
        await sources.refresh()
        found.append((sources.find("website"), sources.find("fair") is not None))
        await asyncio.to_thread(site.post, f"/v1/journeys/{future}/activate")
        with site.engine.begin() as connection:
            connection.execute(
                text("UPDATE journey SET document = 'from: the future' WHERE version = :v"), {"v": future}
            )
        await sources.refresh()
        found.append((sources.find("fair") is not None, sources.unread))
        await engine.dispose()
        return found

    assert asyncio.run(told()) == [True, (None, True), (True, [])]


def test_a_process_that_knows_no_source_of_the_active_version_is_not_ready_and_asks_to_try_again(
    postgres_server: str,
) -> None:
    with fresh_database(postgres_server) as url:
        engine = make_engine(url, name="test")
        with engine.begin() as connection:
            connection.execute(text("UPDATE journey SET document = 'from: the future'"))
        engine.dispose()
        with api_thread(url) as door:
            checks = door.send("GET", "/readyz").json["checks"]
            refused = door.post("/f/website", {"email": "ana@kiln.example"})

    assert {"name": "journey", "ok": False, "reason": "journey_unreadable"} in checks
    assert (refused.status, refused.code) == (503, "journey_unreadable")
    assert refused.headers["retry-after"]
