"""The hot path's statements find rows by key, on a table the server knows nothing about as on a large one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

if TYPE_CHECKING:
    from tests.spine import Spine

SMALL = {"journey_active", "journey", "journey_move", "pool"}
"""Tables with a handful of rows, for ever."""


@pytest.mark.parametrize("analysed", [False, True], ids=["fresh", "with statistics"])
def test_no_statement_of_a_step_reads_a_whole_table(spine: Spine, *, analysed: bool) -> None:
    for number in range(200):
        spine.arrives({"email": f"p{number}@firm{number}.example", "country": "DE", "interests": "crm"})
    spine.run()
    if analysed:
        spine.do("ANALYZE")
    statements: dict[str, Any] = {}
    runtime = spine.runtime()
    event.listen(
        runtime.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, parameters, *_: statements.setdefault(statement, parameters),
    )
    again = spine.arrives({"email": "p7@firm7.example", "message": "one more"})
    new = spine.arrives({"email": "new@firm.example", "country": "DE", "interests": "crm"})
    spine.run(runtime, ids=[again, new])

    with runtime.engine.begin() as connection:
        plans = {
            statement: "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars())
            for statement, parameters in list(statements.items())
        }

    assert len(plans) > 10
    whole = {
        table: plan for plan in plans.values() for table in re.findall(r"Seq Scan on (\w+)", plan) if table not in SMALL
    }
    assert not whole, "\n\n".join(whole.values())
