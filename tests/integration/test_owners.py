"""What owners do, over HTTP and on the command line: accept, decline, hand over, go away and come back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from schema.store import clock
from services.cli.main import app
from tests.management import Site, open_site

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def site(postgres_server: str) -> Iterator[Site]:
    with open_site(postgres_server) as made:
        yield made


def owned(site: Site, owner: str | None = "ana", **assignment: object) -> str:
    since = clock.now() - HOUR
    given = {"since": since.isoformat(), "accept_by": (since + 9 * HOUR).isoformat()} | assignment
    return site.seed.lead(owner=owner, pool="dach", assignment=given)


def refused(site: Site, method: str, path: str, body: object = None, status: int = 409) -> dict[str, Any]:
    response = site.client.request(method, path, json=body)
    assert response.status_code == status, response.text
    return dict(response.json())


# -- over HTTP ---------------------------------------------------------------------------------------------------------


def test_an_owner_accepts_and_the_lead_shows_it(site: Site) -> None:
    lead = owned(site)
    before = site.get(f"/v1/leads/{lead}")["assignment"]
    assert (before["accepted_at"], before["passed"], before["by_hand"]) == (None, [], False)

    accepted = site.post(f"/v1/leads/{lead}/accept", {"owner": "ana"})
    again = site.post(f"/v1/leads/{lead}/accept")

    assert accepted["assignment"]["accepted_at"] is not None
    assert again["assignment"] == accepted["assignment"] == site.get(f"/v1/leads/{lead}")["assignment"]


def test_nobody_accepts_what_is_not_theirs_or_nobodys(site: Site) -> None:
    told = refused(site, "POST", f"/v1/leads/{owned(site)}/accept", {"owner": "ben"})
    assert (told["code"], told["owner"]) == ("not_the_owner", "ana")
    free = site.seed.lead()
    assert refused(site, "POST", f"/v1/leads/{free}/accept")["code"] == "lead_unowned"
    assert site.get(f"/v1/leads/{free}")["assignment"] is None


def test_a_declined_lead_is_the_next_persons_and_a_reason_is_a_code(site: Site) -> None:
    lead = owned(site)
    assert refused(site, "POST", f"/v1/leads/{lead}/decline", {"reason": "No time!"}, 422)["errors"] == [
        {"pointer": "/body/reason", "code": "string_pattern_mismatch"}
    ]
    declined = site.post(f"/v1/leads/{lead}/decline", {"reason": "no_time"})
    assert (declined["owner"], declined["assignment"]["passed"]) == ("ben", ["ana"])
    assert site.hinted[-1] == ("route", [])


def test_a_lead_is_handed_to_anybody_of_its_journey_and_to_nobody_else(site: Site) -> None:
    lead = owned(site)
    response = site.client.put(f"/v1/leads/{lead}/owner", json={"owner": "dee", "reason": "her_customer"})
    assert (response.json()["owner"], response.json()["pool"]) == ("dee", "everybody")
    unknown = refused(site, "PUT", f"/v1/leads/{lead}/owner", {"owner": "zoe"}, 422)
    assert unknown["errors"] == [{"pointer": "/body/owner", "code": "owner_unknown"}]
    assert "dee" in unknown["known"]
    assert refused(site, "PUT", f"/v1/leads/{owned(site)[:-4]}0000/owner", {"owner": "dee"}, 404)["code"] == (
        "lead_not_found"
    )


def test_who_is_away_is_shown_with_why_and_until_when_and_comes_back(site: Site) -> None:
    until = (clock.now() + 48 * HOUR).replace(microsecond=0)
    kept = site.post("/v1/owners/cem/absences", {"kind": "leave", "until": until.isoformat()}, 201)
    [cem] = [owner for owner in site.get("/v1/owners")["items"] if owner["owner"] == "cem"]
    assert (cem["free"], cem["why"]) == (False, f"away until {until:%Y-%m-%d %H:%M} UTC")
    assert [absence["id"] for absence in cem["absences"]] == [kept["id"]]

    assert site.client.delete("/v1/owners/cem/absences/now").json() == {"owner": "cem", "ended": [kept["id"]]}

    [cem] = [owner for owner in site.get("/v1/owners")["items"] if owner["owner"] == "cem"]
    assert (cem["free"], cem["why"], cem["absences"]) == (True, None, [])
    assert refused(site, "DELETE", f"/v1/owners/cem/absences/{kept['id']}", status=404)["code"] == "absence_unknown"


def test_an_absence_needs_a_person_an_order_and_a_time_zone(site: Site) -> None:
    path = "/v1/owners/cem/absences"
    assert refused(site, "POST", "/v1/owners/zoe/absences", {}, 404)["code"] == "owner_unknown"
    backwards = {"from": "2030-01-02T00:00:00Z", "until": "2030-01-01T00:00:00Z"}
    assert refused(site, "POST", path, backwards, 422)["code"] == "absence_backwards"
    assert (
        refused(site, "POST", path, {"until": "2020-01-01T00:00:00Z", "from": "2019-01-01T00:00:00Z"}, 422)["code"]
        == "absence_over"
    )
    assert refused(site, "POST", path, {"until": "2030-01-01T00:00:00"}, 422)["errors"] == [
        {"pointer": "/body/until", "code": "timezone_aware"}
    ]


def test_why_somebody_did_not_get_a_lead_is_told_from_what_was_decided_then(site: Site) -> None:
    lead = owned(site, owner="ben")
    explanation = {
        "pool": "dach", "owner": "ben", "turn": 7, "reason": "turn",
        "candidates": [{"pool": "dach", "chosen": True, "why": "holds"}],
        "members": [
            {"person": "ana", "weight": 2, "turns": 4, "why": "at capacity: 40 of 40 open leads", "out": "full"},
            {"person": "ben", "weight": 1, "turns": 2, "why": "due first: by turn 7", "credit": -250_000},
        ],
    }  # fmt: skip
    site.seed.decision(lead, 1, "qualify", "qualified", {"criteria": []})
    site.seed.decision(lead, 2, "route", "routed", explanation)
    assert site.get(f"/v1/leads/{lead}/why?owner=ana")["decisions"][0]["about"] == (
        "Not ana (weight 2, 4 turns so far): at capacity: 40 of 40 open leads. Goes to ben: turn 7 of pool dach."
    )
    [about_cem] = site.get(f"/v1/leads/{lead}/why?owner=cem")["decisions"]
    assert about_cem["about"] == "cem is not in pool dach. Goes to ben: turn 7 of pool dach."
    because = site.get(f"/v1/leads/{lead}/why")["decisions"][1]["because"]
    assert because[-1] == "ben (weight 1, 2 turns so far, -0.25 owed before): due first: by turn 7."


def test_a_key_needs_the_scope(site: Site) -> None:
    only_reading = site.key("leads:read", "owners:read")
    lead = owned(site)
    for method, path, body in (
        ("POST", f"/v1/leads/{lead}/accept", None),
        ("PUT", f"/v1/leads/{lead}/owner", {"owner": "dee"}),
        ("POST", "/v1/owners/cem/absences", {}),
    ):
        response = site.client.request(method, path, json=body, headers=only_reading)
        assert (response.status_code, response.json()["code"]) == (403, "scope_missing")


# -- on the command line -----------------------------------------------------------------------------------------------


@pytest.fixture
def line(site: Site, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401
    monkeypatch.setenv("THROUGHLINE_DATABASE_URL", site.url)
    monkeypatch.setenv("THROUGHLINE_SECRET_KEY", "p" * 32)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return str(done.stdout)

    return run


def test_the_command_line_does_the_same_and_a_dry_run_nothing(site: Site, line: Any) -> None:  # noqa: ANN401
    lead = owned(site)
    assert line("leads", "decline", lead, "--reason", "no_time", "--dry-run") == (
        f"Nothing is kept; otherwise: {lead}: it is ben's now.\n"
    )
    assert site.get(f"/v1/leads/{lead}")["owner"] == "ana"

    line("leads", "decline", lead, "--reason", "no_time")
    line("leads", "assign", lead, "dee")
    assert line("leads", "accept", lead) == f"{lead}: dee has accepted it.\n"
    assert line("leads", "why", lead, "--owner", "ana").splitlines()[-1].endswith("dee accepted it.")


def test_somebody_goes_away_in_their_own_time_zone_and_comes_back(line: Any) -> None:  # noqa: ANN401
    assert "dee takes no leads" in line("owners", "away", "dee", "--until", "2031-01-04", "--dry-run")
    assert "until 2031-01-04 00:00 EST" in line("owners", "away", "dee", "--until", "2031-01-04")
    listed = [row.split("\t") for row in line("owners", "list").splitlines()]
    assert ["dee", "away until 2031-01-04 05:00 UTC"] in [[row[0], row[-1]] for row in listed]
    assert line("owners", "back", "dee") == "dee is back.\n"
    assert line("owners", "back", "dee") == "dee was not away.\n"
