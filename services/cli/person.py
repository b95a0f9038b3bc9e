"""`people show`: one person, and all that belongs to them, as a page to read."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schema.errors import Permanent
from services.cli.place import DataDir, read_settings, transaction
from services.cli.terminal import AsJson, plain, print_fields, print_json, print_table

if TYPE_CHECKING:
    from sqlalchemy import Connection

_WHO = "The person's id, e-mail address, or phone number with country code."


def show(
    who: Annotated[str, typer.Argument(help=_WHO)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """
    Show one person: who they are and who said so, what they allow, what they bought, and their leads.

    Example: throughline people show ana@example.com
    """
    with transaction(read_settings(data_dir)) as connection:
        found = _found(connection, who)
    if as_json:
        print_json(found)
        return
    print_fields(_fields(found))
    print("\nWhat is known, and who said it")
    print_table(["what", "value", "said", "by"], _known(found), empty="Nothing yet.")
    print("\nConsent, as it stands")
    print_table(["purpose", "state", "since", "by", "words"], map(_consent, found["consents"]), empty="Never asked.")
    print("\nPurchases")
    bought = found["purchases"]["items"]
    print_table(["at", "what", "amount", "order", "products"], map(_purchase, bought), empty="None.")
    print("\nLeads")
    print_table(["lead", "journey", "state", "owner", "since"], map(_lead, found["leads"]), empty="None.")


def _found(connection: Connection, who: str) -> dict[str, Any]:
    from schema.store import people
    from schema.store.ids import is_id

    person_id: str | None = who if is_id(who) else None
    if person_id is None:
        person_id = people.find(connection, email=who) if "@" in who else people.find(connection, phone=who)
    found = people.person(connection, person_id) if person_id else None
    if found is None:
        raise Permanent("person_not_found", "There is nobody with this id, address or number.")
    return found


def _fields(found: dict[str, Any]) -> dict[str, object]:
    fields: dict[str, object] = {"person": found["id"]}
    if found["merged_into"]:
        fields["merged into"] = f"{found['merged_into']}: everything is there"
    bought = found["purchases"]
    in_all = ", ".join(f"{total} {currency}" for currency, total in bought["total"].items())
    return fields | {
        "known by": ", ".join(f"{key['kind']} {key['value']}" for key in found["keys"]) or "nothing",
        "bought": f"{bought['count']} times, {in_all}" if bought["count"] else "nothing yet",
        "contracts": _running(found["contracts"]),
        "health": found["health"],
        "since": found["created_at"],
    }


def _running(contracts: list[dict[str, Any]]) -> str | None:
    if not contracts:
        return None
    return f"{len(contracts)} running, the first until {contracts[0]['ends_on']}"


def _known(found: dict[str, Any]) -> list[list[object]]:
    company = found["company"]
    values: dict[str, object] = {name: found[name] for name in ("name", "email", "phone", "country", "language")}
    values |= {
        "company_name": company["name"],
        "company_id": company["domain"],
        "company_employees": company["employees"],
    }
    for collection in ("preferences", "custom"):
        values |= {f"{collection}.{name}": value for name, value in found[collection].items()}
    values |= {f"interests.{name}": "yes" for name in found["interests"]}
    rows: list[list[object]] = []
    for name, value in values.items():
        if value is None:
            continue
        known = found["known"].get(name)
        rows.append([_NAMES.get(name, name), _written(value), known and _day(known["at"]), known and _by(known)])
        for other in known["others"] if known else ():
            shown = "another company" if name == "company_id" else other["value"]
            rows.append(["  also said", shown, _day(other["at"]), _by(other)])
    return rows


def _written(value: object) -> str:
    """A value as a person reads it; what is more than a line as JSON."""
    import msgspec

    return msgspec.json.encode(value).decode() if isinstance(value, dict | list | bool) else str(value)


def _by(origin: dict[str, Any]) -> str:
    source = origin["source"] or "somebody, before this was kept"
    return f"{source} (themselves)" if origin["by_themselves"] else str(source)


def _day(at: str | None) -> str:
    return plain(datetime.fromisoformat(at)) if at else ""


def _consent(answer: dict[str, Any]) -> list[object]:
    by = answer["actor"] or answer["source"]
    words = f"version {answer['text_version']}" if answer["text_version"] else answer["text"]
    return [answer["purpose"], answer["state"], answer["at"], f"{by}: {answer['basis']}", words]


def _purchase(sale: dict[str, Any]) -> list[object]:
    money = " ".join(filter(None, (sale["amount"], sale["currency"])))
    products = ", ".join(product.get("name") or product.get("sku", "") for product in sale["products"])
    return [sale["at"], sale["kind"], money or "unknown", sale["external_id"] or sale["order_id"], products]


def _lead(lead: dict[str, Any]) -> list[object]:
    return [lead["id"], lead["journey_name"], lead["state"], lead["owner"], lead["created_at"]]


_NAMES = {"company_name": "company", "company_id": "company's domain", "company_employees": "employees"}
