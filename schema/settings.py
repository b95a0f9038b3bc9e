"""
Settings of one installation, from the environment (prefix `THROUGHLINE_`).

Everything has a default that works on one machine with nothing set up; an empty URL means the embedded way.
"""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from schema.errors import Permanent


class Settings(BaseSettings):
    """One value object for every process; children of `throughline up` inherit it through the environment."""

    model_config = SettingsConfigDict(env_prefix="THROUGHLINE_", extra="ignore")

    database_url: str = ""
    """`postgresql://…`; empty: an embedded PostgreSQL in `data_dir`."""
    data_dir: Path = Path("throughline-data")
    broker_url: str = ""
    """`amqp://…` or `redis://…` for Dramatiq's hints; empty: the database."""
    redis_url: str = ""
    events_url: str = ""
    """`amqp://…`: publish events to the exchange `throughline.events` too."""
    consume_url: str = ""
    """`amqp://…`: take events from the queues of the sources of kind `events`."""
    meta_url: str = "https://graph.facebook.com/v24.0"
    """Where the answers that a delivery of Meta Lead Ads names are fetched."""
    linkedin_url: str = "https://api.linkedin.com/rest"
    """The same for LinkedIn Lead Sync."""
    mail_listen: str = ""
    """`smtp://host:port` or `lmtp://host:port`: take mail for the addresses of the sources of kind `email`."""
    mail_per_minute: int = Field(default=6000, ge=1)
    """
    Mails that one sender may hand over in a minute; then it is asked to come back.

    An address of ours takes ten times as many, and so many may come from one client.
    """
    mail_largest_bytes: int = Field(default=20 * 1024 * 1024, ge=1)
    """A larger mail is refused, or left in its mailbox."""
    mail_memory_bytes: int = Field(default=256 * 1024 * 1024, ge=1)
    """Of all mails that are being handed over at one time; beyond it senders are asked to come back."""
    mail_connections: int = Field(default=500, ge=1)
    mail_connections_per_client: int = Field(default=100, ge=1)
    """Of one address (IPv6: one network); over LMTP there is no such limit."""
    mail_patience_s: float = Field(default=60.0, gt=0)
    """Seconds that a client may say nothing. A mail may take ten times it."""
    mail_certificate: str = ""
    """A file with a certificate and its chain (PEM): mail may be handed over by STARTTLS. Renewals are noticed."""
    mail_certificate_key: str = ""
    mail_logins: SecretStr = SecretStr("")
    """`name:password name:password`: only who logs in may hand mail over. Empty: anybody, as to any mail server."""
    imap_urls: SecretStr = SecretStr("")
    """Mailboxes to read, separated by spaces: `imaps://user:password@host/INBOX?source=inbox`."""
    smtp_url: SecretStr = SecretStr("")
    """Where mail goes out: `smtp://user:password@host:587` or `smtps://…`; empty: a folder in `data_dir`."""
    smtp_connections: int = Field(default=4, ge=1, le=100)
    """Conversations with the mail server at once, of each worker process; one more is kept for service mail."""
    send_lease_s: float = Field(default=1200.0, gt=0)
    """After how long a message is unknown whose worker ended while it was handed over."""
    smtp_rate: float = Field(default=10.0, ge=0)
    """Messages a second to one domain, from each worker process; 0: as fast as they are taken."""
    base_url: str = ""
    secret_key: SecretStr = SecretStr("")
    log_format: Literal["json", "console", ""] = ""
    """Empty: console on a terminal, JSON elsewhere."""
    log_level: str = "INFO"

    chain: bool = True
    """Run steps that wait for nothing one after the other in one transaction. Off: each step on its own queue."""
    batch_size: int = Field(default=400, ge=1, le=5000)
    """Most leads one transaction takes."""
    worker_processes: int = Field(default=2, ge=1)
    worker_threads: int = Field(default=1, ge=1)
    max_waiting: int = Field(default=4000, ge=1)
    """Arrivals the API holds uncommitted before it answers 503 with Retry-After."""
    sweep_every_s: float = Field(default=1.0, gt=0)
    sweep_after_s: float = Field(default=3.0, gt=0)
    """A due row older than this has lost its hint (or its worker) and is hinted again."""
    canary_every_s: float = Field(default=300.0, ge=0)
    """How often each way in is tried out by an arrival of our own; 0: never."""
    canary_url: str = ""
    """Where canaries reach the API; empty: `base_url`. `throughline up` sets it."""
    failpoints: str = ""
    """Only for fault tests: a folder where they arm named points (see `schema.failpoints`)."""

    def pepper(self) -> bytes:
        """
        The installation's secret as 32 bytes, for keyed hashes.

        Without `THROUGHLINE_SECRET_KEY` the embedded mode keeps a random one in `data_dir`; a configured database
        demands that the key is set, so that two processes never disagree about it.
        """
        configured = self.secret_key.get_secret_value()
        if configured:
            return hashlib.sha256(configured.encode()).digest()
        if self.database_url and not (self.data_dir / "secret").exists():
            raise Permanent(
                "secret_key_missing",
                "THROUGHLINE_SECRET_KEY is not set. Set it to a long random value "
                "(the same for every process), for example: openssl rand -hex 32",
            )
        path = self.data_dir / "secret"
        if not path.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"secret.{secrets.token_hex(4)}")
            fresh.write_text(secrets.token_hex(32))
            fresh.chmod(0o600)
            try:
                fresh.rename(path) if not path.exists() else None
            finally:
                fresh.unlink(missing_ok=True)
        return hashlib.sha256(path.read_text().strip().encode()).digest()
