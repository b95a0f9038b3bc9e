"""`throughline sources`: what a newcomer sees of the ways in, and of a payload that is tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from schema.journey import default_text
from services.cli.main import app
from tests.deliveries import SHAPES, delivery, provider_of

if TYPE_CHECKING:
    from pathlib import Path

_SOURCES = """\
  leads: {kind: hook, provider: meta_lead_ads, secret: SHOP_META_SECRET, token: SHOP_META_TOKEN}
  shop: {kind: hook, map: {"buyer.contact_mail": email}}
"""


@pytest.fixture
def journey(tmp_path: Path) -> Path:
    file = tmp_path / "journey.yaml"
    file.write_text(default_text().replace("\nsources:\n", f"\nsources:\n{_SOURCES}", 1))
    return file


def tried(*arguments: str, given: bytes | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["sources", "test", *arguments], input=given)
    return done.exit_code, done.output


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape not in {"meta_lead_ads", "linkedin_lead_sync"}])
def test_every_shape_can_be_tried_without_a_database(shape: str) -> None:
    sent = delivery(shape)
    headers = [part for name, value in sent.headers.items() for part in ("-H", f"{name}: {value}")]

    _, written = tried("-", "--json", "--content-type", sent.content_type, *headers, given=sent.body)

    found = json.loads(written)
    assert found["provider"] == provider_of(shape)
    assert found["draft"] or found["suggested_map"]


def test_what_would_wait_says_so_and_suggests_a_mapping() -> None:
    status, written = tried("-", given=b'{"buyer": {"contact_mail": "ann@lind.example"}}')

    assert status == 1
    assert "quarantined (shape_unknown)" in written
    assert 'map: {"buyer.contact_mail": email}' in written


def test_a_source_of_a_journey_file_reads_with_its_mapping(journey: Path) -> None:
    given = b'{"buyer": {"contact_mail": "ann@lind.example"}}'

    status, written = tried("-", "--source", "shop", "--journey", str(journey), "--json", given=given)

    assert status == 0
    assert json.loads(written)["keys"] == [{"kind": "email", "key": "ann@lind.example"}]


def test_ids_say_that_they_have_to_be_fetched() -> None:
    status, written = tried("-", "--json", given=delivery("meta_lead_ads").body)

    assert status == 1
    assert json.loads(written)["reason"] == "fetch_pending"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--provider", "strip"], "did you mean stripe?"),
        (["--source", "websit"], "did you mean website?"),
        (["-H", "nonsense"], "name: value"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["sources", "test", "-", *arguments], input=b"{}")

    assert done.exit_code == 1
    assert words in str(done.exception)


def test_the_list_says_where_to_send_and_what_is_missing(journey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_META_SECRET", "shared")
    monkeypatch.setenv("THROUGHLINE_BASE_URL", "https://hooks.example/")

    done = CliRunner().invoke(app, ["sources", "list", "--journey", str(journey), "--json"])

    items = {item["name"]: item for item in json.loads(done.output)["items"]}
    assert items["leads"]["address"] == "https://hooks.example/hooks/leads"
    assert items["leads"]["missing"] == ["SHOP_META_TOKEN"]
    assert len(items["leads"]["verify_token"]) == 32
    assert "shared" not in done.output
    assert items["website"]["address"] == "https://hooks.example/f/website"
