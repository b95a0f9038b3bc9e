"""
`make bench`: the benchmark on servers of its own, started as the tests start them.

    python -m tests.bench [options of `throughline bench`]    prints the table, writes bench.json, exits as it does
    python -m tests.bench --figures N                         counts N events into figures, and asks for them
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys

from services.embedded import die_with_parent
from tests import figures
from tests.servers import ROOT, Postgres, RabbitMQ


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--figures"]:
        return figures.run(int(arguments[1]) if len(arguments) > 1 else 1_000_000)
    with Postgres({"track_commit_timestamp": "on"}) as postgres, RabbitMQ() as rabbitmq:
        environment = os.environ | {
            "THROUGHLINE_DATABASE_URL": postgres.url(),
            "THROUGHLINE_BROKER_URL": rabbitmq.url,
            "THROUGHLINE_SECRET_KEY": secrets.token_hex(32),
        }
        command = [sys.executable, "-P", "-m", "services.cli.main", "bench", "--output", str(ROOT / "bench.json")]
        dies = die_with_parent(signal.SIGTERM)
        return subprocess.run([*command, *arguments], env=environment, check=False, preexec_fn=dies).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
