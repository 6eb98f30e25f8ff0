"""Settings: one typed tree, from `povod.toml` and `POVOD_*` variables (a variable wins).

`POVOD_DATABASE__URL=postgresql://...` sets `[database] url`. A value that can't be used is an `InvalidSettings` that names the key,
the value (never a secret's) and the cure; an unknown key is one with a suggestion. Secrets are `SecretStr` and never printed.
"""

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    """A section of the tree: unknown keys are errors, values never change after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogSettings(Section):
    """The event log. `embedded` keeps it in `<data>/log.db`; `kafka` needs `bootstrap`."""

    kind: Literal["embedded", "kafka"] = "embedded"
    bootstrap: str = "127.0.0.1:9092"
    linger: timedelta = timedelta(milliseconds=5)
    ack_timeout: timedelta = timedelta(milliseconds=900)
    session_timeout: timedelta = timedelta(seconds=10)


class DatabaseSettings(Section):
    """The state database; empty means SQLite in `<data>/state.db`. The URL may hold a password."""

    url: SecretStr = SecretStr("")
    pool_size: int = Field(8, ge=1, le=100)


class IngestSettings(Section):
    """The HTTP door. Sizes in bytes; `max_in_flight` bounds the bytes of requests not yet answered."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    public_url: str = "http://127.0.0.1:8080"
    max_event: int = Field(65_536, ge=1_024)
    max_body: int = Field(1_048_576, ge=1_024)
    max_batch: int = Field(2_500, ge=1)
    max_in_flight: int = Field(67_108_864, ge=1_048_576)
    rate: int = Field(0, ge=0, description="events a second and key; 0: no limit")


class RulesSettings(Section):
    """The rules engine."""

    directory: Path = Path("rules")
    templates: Path = Path("templates")
    batch: int = Field(1_000, ge=1, le=10_000)
    dead_letter_limit: int = Field(1_000, ge=1, description="dead letters in `dead_letter_window` that stop a partition")
    dead_letter_window: timedelta = timedelta(minutes=5)


class SmtpSettings(Section):
    """The mail server that takes our mails. `sender` is the From address, e.g. `Shop <hello@shop.example>`."""

    host: str = "127.0.0.1"
    port: int = Field(25, ge=1, le=65535)
    username: str = ""
    password: SecretStr = SecretStr("")
    tls: Literal["none", "starttls", "implicit"] = "none"
    sender: str = "Povod <povod@localhost>"
    connections: int = Field(4, ge=1, le=64)
    messages_per_connection: int = Field(100, ge=1)
    timeout: timedelta = timedelta(seconds=30)


class SmsSettings(Section):
    """A generic HTTP SMS gateway: the request is a URL and a body with `{recipient}`, `{text}`, `{message_id}`, `{sender}` in it.

    `success` and `provider_id` are JSON pointers into the answer; see `docs/channels.md`.
    """

    url: str = ""
    method: Literal["POST", "GET"] = "POST"
    encoding: Literal["json", "form"] = "json"
    body: dict[str, str] = {"to": "{recipient}", "text": "{text}", "id": "{message_id}"}
    headers: dict[str, SecretStr] = {}
    sender: str = ""
    success: str = ""
    error: str = ""
    provider_id: str = "/id"
    retry_errors: tuple[str, ...] = ()
    suppress_errors: tuple[str, ...] = ()
    concurrency: int = Field(8, ge=1, le=256)
    timeout: timedelta = timedelta(seconds=10)
    at_most_once: bool = True


class TelegramSettings(Section):
    """A Telegram bot. `base_url` is changed only for tests."""

    token: SecretStr = SecretStr("")
    base_url: str = "https://api.telegram.org"
    concurrency: int = Field(8, ge=1, le=64)
    timeout: timedelta = timedelta(seconds=10)
    at_most_once: bool = False


class DispatchSettings(Section):
    """Delivery."""

    claim: int = Field(200, ge=1, le=2_000, description="messages claimed at once, a channel")
    max_attempts: int = Field(8, ge=1)
    retry_base: timedelta = timedelta(seconds=30)
    retry_cap: timedelta = timedelta(hours=1)
    smtp: SmtpSettings = SmtpSettings()
    sms: SmsSettings = SmsSettings()
    telegram: TelegramSettings = TelegramSettings()


class TelemetrySettings(Section):
    """Logs and metrics. `metrics_port` 0 leaves metrics on the ingest port only (`/metrics`)."""

    log_format: Literal["json", "console"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_port: int = Field(0, ge=0, le=65535)


class SecuritySettings(Section):
    """Keys that sign links. Empty: made at first start and kept in `<data>/secret` (embedded engine only)."""

    link_secret: SecretStr = SecretStr("")
