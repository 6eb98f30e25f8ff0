"""The settings themselves: one frozen section a part of Povod, and the root that holds them."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SecretStr

from services.contracts.durations import format_duration, parse_duration


def _read_duration(value: object) -> object:
    if isinstance(value, (str, int, float)):
        return parse_duration(str(value))
    return value


Duration = Annotated[timedelta, BeforeValidator(_read_duration), PlainSerializer(format_duration, return_type=str)]
"""A `timedelta` written as `parse_duration` reads it; a bare number is refused, for it has no unit."""


def _read_network(value: str) -> str:
    try:
        return str(ip_network(value.strip(), strict=False))
    except ValueError:
        raise ValueError(f"{value!r} is no network; write one as 10.0.0.0/8 or a single address") from None


Network = Annotated[str, AfterValidator(_read_network)]
"""An IP network in CIDR form; a single address is a network of one."""


class Section(BaseModel):
    """A section of the tree: unknown keys are errors, values never change after start."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=False)


class LogSettings(Section):
    """The event log. `embedded` keeps it in `<data>/log.db`; `kafka` needs `bootstrap`."""

    kind: Literal["embedded", "kafka"] = Field("embedded", description="which event log: in one file, or Kafka")
    bootstrap: str = Field("127.0.0.1:9092", description="Kafka's first addresses, host:port, with commas between")
    linger: Duration = Field(
        timedelta(milliseconds=5),
        description="how long an append to Kafka waits for company in its batch; the embedded log never waits",
    )
    ack_timeout: Duration = Field(timedelta(milliseconds=900), description="longest wait for the log's acknowledgement while it is silent")
    slow_timeout: Duration = Field(timedelta(seconds=5), description="longest wait for it of a Kafka that answers otherwise")
    fetch_wait: Duration = Field(
        timedelta(milliseconds=100), description="how long Kafka waits for records before it answers with none; timers are as late"
    )
    session_timeout: Duration = Field(timedelta(seconds=10), description="silence after which Kafka gives a reader's partitions away")
    instance: str = Field(
        "", description="this process's name, kept over restarts (Kafka's static membership: a restart moves no partition); empty: none"
    )


class DatabaseSettings(Section):
    """The state database; empty means SQLite in `<data>/state.db`. The URL may hold a password."""

    url: SecretStr = Field(SecretStr(""), description="sqlite:////path/state.db or postgresql://user@host/name; empty: <data>/state.db")
    pool_size: int = Field(8, ge=1, le=100, description="connections a process keeps")


class TopicNames(Section):
    """What customers read of a topic."""

    ru: str = Field(min_length=1, description="its name in Russian")
    en: str = Field(min_length=1, description="its name in English")

    @property
    def names(self) -> dict[str, str]:
        """The names by language."""
        return {"ru": self.ru, "en": self.en}


class SurveySettings(Section):
    """A question to customers; empty wordings leave the pages' own."""

    ru: str = Field("", description="the question in Russian")
    en: str = Field("", description="the question in English")
    scale: bool = Field(True, description="whether the answer is a number from 0 to 10 with a comment; false: words only")

    @property
    def wording(self) -> dict[str, str]:
        """The question by language."""
        return {"ru": self.ru, "en": self.en}


class HookSettings(Section):
    """A provider that calls back, and how it shows that it is the one. See `docs/links-and-pages.md`."""

    scheme: Literal["hmac-sha256", "meta", "telegram", "mailgun", "basic", "bearer"] = Field(description="how the provider signs")
    secret: SecretStr = Field(min_length=8, description="what only the provider and we know")
    header: str = Field("X-Signature", description="hmac-sha256: the header of the signature")
    prefix: str = Field("", description='hmac-sha256: what stands before the signature, such as "sha256="')
    encoding: Literal["hex", "base64"] = Field("hex", description="hmac-sha256: how the signature is written")
    username: str = Field("", description="basic: the user; the secret is the password")
    verify_token: SecretStr = Field(SecretStr(""), description="meta: the token of its GET that checks the address")
    message_id: str = Field("", description="JSON pointer to the provider's id of the message, the record's key; empty: none")


class IngestSettings(Section):
    """The HTTP door. Sizes in bytes; `max_in_flight` bounds the bytes of requests not yet answered."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 for all")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: any free one")
    share_port: bool = Field(default=False, description="let other processes listen on the same port too (SO_REUSEPORT)")
    leave_for: Duration = Field(
        timedelta(0),
        description="how long requests are still taken after SIGTERM, closing each connection after its answer: what a balancer needs",
    )
    public_url: str = Field("http://127.0.0.1:8080", description="how customers reach this door; links in messages begin with it")
    max_event: int = Field(65_536, ge=1_024, description="largest event, in bytes")
    max_body: int = Field(1_048_576, ge=1_024, description="largest request, in bytes, unpacked")
    max_batch: int = Field(2_500, ge=1, le=10_000, description="most events in one request")
    max_in_flight: int = Field(67_108_864, ge=1_048_576, description="bytes of unanswered requests beyond which the answer is 503")
    rate: int = Field(0, ge=0, description="events a second and key, unless the key has a rate of its own; 0: no limit")
    trusted_proxies: tuple[Network, ...] = Field(
        (), description='networks of proxies whose X-Forwarded-For is believed, such as ["10.0.0.0/8"]; none: nobody\'s'
    )
    phone_region: str = Field(
        "RU", pattern="^[A-Z]{2}$", description="country of phone numbers without a country code, where an event names none (ISO 3166-1)"
    )

    pages_directory: Path | None = Field(None, description="folder of files that take the place of the pages' own of the same name")
    confirmation_valid_for: Duration = Field(
        timedelta(days=30), description="how long after it was decided a message's link that confirms an address works"
    )
    preference_channels: tuple[str, ...] = Field(
        (), description='channels that the preference page offers to everybody, such as ["email", "sms"]'
    )
    topics: dict[str, TopicNames] = Field(
        {}, description="topics that a customer may leave, [ingest.topics.ID]: messages that have it as a tag"
    )
    surveys: dict[str, SurveySettings] = Field({}, description="questions of survey_url(ID), [ingest.surveys.ID]")
    hooks: dict[Annotated[str, Field(pattern="^[a-z0-9_-]{1,64}$")], HookSettings] = Field(
        {}, description="providers that call back at /hooks/NAME, [ingest.hooks.NAME]"
    )


class RulesSettings(Section):
    """The rules engine."""

    directory: Path = Field(Path("rules"), description="where the rule set lies")
    templates: Path = Field(Path("templates"), description="where the templates lie")
    batch: int = Field(2_000, ge=1, le=10_000, description="records decided in one transaction, at most")
    dead_letter_limit: int = Field(1_000, ge=1, description="dead letters in `dead_letter_window` that stop a partition")
    dead_letter_window: Duration = Field(timedelta(minutes=5), description="the time in which dead letters are counted")


class SmtpSettings(Section):
    """The mail server that takes our mails."""

    host: str = Field("127.0.0.1", description="the server's name or address")
    port: int = Field(25, ge=1, le=65535, description="its port")
    username: str = Field("", description="user for AUTH; empty: none")
    password: SecretStr = Field(SecretStr(""), description="password for AUTH")
    tls: Literal["none", "starttls", "implicit"] = Field("none", description="how the connection is encrypted")
    sender: str = Field("Povod <povod@localhost>", description="the From address, e.g. Shop <hello@shop.example>")
    connections: int = Field(4, ge=1, le=64, description="connections kept open at once")
    messages_per_connection: int = Field(100, ge=1, description="mails after which a connection is renewed")
    timeout: Duration = Field(timedelta(seconds=30), description="longest wait for one answer of the server")


class SmsSettings(Section):
    """A generic HTTP SMS gateway: the request is a URL and a body with `{recipient}`, `{text}`, `{message_id}`, `{sender}` in it.

    `success` and `provider_id` are JSON pointers into the answer; see `docs/channels.md`.
    """

    url: str = Field("", description="the gateway's address; empty: no SMS")
    method: Literal["POST", "GET"] = Field("POST", description="the request's method")
    encoding: Literal["json", "form"] = Field("json", description="how `body` is sent")
    body: dict[str, str] = Field(
        {"to": "{recipient}", "text": "{text}", "id": "{message_id}"}, description="the request's fields, with placeholders"
    )
    headers: dict[str, SecretStr] = Field({}, description="request headers, keys and tokens among them")
    sender: str = Field("", description="the sender's name or number")
    success: str = Field("", description="JSON pointer that is present and true in a good answer; empty: the status decides")
    error: str = Field("", description="JSON pointer to the error's code")
    provider_id: str = Field("/id", description="JSON pointer to the gateway's id of the message")
    retry_errors: tuple[str, ...] = Field((), description="error codes worth another try")
    suppress_errors: tuple[str, ...] = Field((), description="error codes after which the number is never used again")
    concurrency: int = Field(8, ge=1, le=256, description="requests at once")
    timeout: Duration = Field(timedelta(seconds=10), description="longest wait for an answer")
    at_most_once: bool = Field(True, description="never send again after an ambiguous answer")


class TelegramSettings(Section):
    """A Telegram bot. `base_url` is changed only for tests."""

    token: SecretStr = Field(SecretStr(""), description="the bot's token from @BotFather; empty: no Telegram")
    base_url: str = Field("https://api.telegram.org", description="the Bot API's address")
    concurrency: int = Field(8, ge=1, le=64, description="requests at once")
    timeout: Duration = Field(timedelta(seconds=10), description="longest wait for an answer")
    at_most_once: bool = Field(False, description="never send again after an ambiguous answer")


class LinkSettings(Section):
    """Which links of messages lead past ingest, so that clicks and opens are known. See `docs/links-and-pages.md`."""

    clicks: tuple[str, ...] = Field(("email",), description="channels whose links are led past ingest, so that a click is known")
    opens: tuple[str, ...] = Field(("email",), description="channels whose HTML gets an invisible picture, so that an opened mail is known")
    untracked: tuple[str, ...] = Field((), description="templates whose messages are left as they are")


class ReceiptSettings(Section):
    """What the callbacks of a hook of ingest mean. The pointers and words are for `sms`; see `docs/links-and-pages.md`."""

    reader: Literal["sms", "telegram"] = Field(description="whose callbacks these are: the SMS gateway's or the Telegram bot's")
    message_id: str = Field("/id", description="JSON pointer to the id of the message that the callback is about")
    names: Literal["ours", "theirs"] = Field("ours", description="whose id that is: the one we sent along, or the gateway's own")
    status: str = Field("/status", description="JSON pointer to the status")
    delivered: tuple[str, ...] = Field(("delivered",), description="statuses of a message that has arrived, in any case")
    undelivered: tuple[str, ...] = Field(
        ("undelivered", "undeliverable", "failed", "rejected", "expired"), description="statuses of one that never will, in any case"
    )
    suppress: tuple[str, ...] = Field((), description="of those, statuses after which the number is never used again")


class DispatchSettings(Section):
    """Delivery."""

    claim: int = Field(200, ge=1, le=2_000, description="messages claimed at once, a channel")
    max_attempts: int = Field(8, ge=1, description="attempts before a message has failed")
    retry_base: Duration = Field(timedelta(seconds=30), description="wait before the second attempt; doubled each time, with jitter")
    retry_cap: Duration = Field(timedelta(hours=1), description="longest wait between attempts")
    dead_letter_limit: int = Field(
        1_000, ge=1, description="dead letters in `dead_letter_window` that stop a partition of `povod.dispatch`"
    )
    dead_letter_window: Duration = Field(timedelta(minutes=5), description="the time in which dead letters are counted")
    smtp: SmtpSettings = Field(SmtpSettings(), description="e-mail")
    sms: SmsSettings = Field(SmsSettings(), description="SMS")
    telegram: TelegramSettings = Field(TelegramSettings(), description="Telegram")
    links: LinkSettings = Field(LinkSettings(), description="clicks and opens")
    receipts: dict[str, ReceiptSettings] = Field(
        {}, description="callbacks that dispatch understands, [dispatch.receipts.NAME] with NAME of [ingest.hooks.NAME]"
    )


class TelemetrySettings(Section):
    """Logs and metrics. `metrics_port` 0 leaves metrics on the ingest port only (`/metrics`)."""

    log_format: Literal["json", "console"] = Field("console", description="json for machines, console for people")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least level that is written")
    metrics_host: str = Field("127.0.0.1", description="address of that port; 0.0.0.0 for all")
    metrics_port: int = Field(0, ge=0, le=65535, description="port of /metrics, /livez and /readyz of rules and dispatch; 0: none")


class SecuritySettings(Section):
    """Keys that sign links. Empty: made at first start and kept in `<data>/secret` (embedded engine only)."""

    link_secret: SecretStr = Field(
        SecretStr(""), description="signs unsubscribe links, 32 characters or more; old ones may follow after commas and are still read"
    )


class Settings(Section):
    """The root. `data` is the folder of the embedded engine's files."""

    data: Path = Field(Path(".povod"), description="folder of the embedded log, the SQLite state and the link secret")
    log: LogSettings = Field(LogSettings(), description="the event log")
    database: DatabaseSettings = Field(DatabaseSettings(), description="the state database")
    ingest: IngestSettings = Field(IngestSettings(), description="the HTTP door")
    rules: RulesSettings = Field(RulesSettings(), description="the rules engine")
    dispatch: DispatchSettings = Field(DispatchSettings(), description="delivery")
    telemetry: TelemetrySettings = Field(TelemetrySettings(), description="logs and metrics")
    security: SecuritySettings = Field(SecuritySettings(), description="secrets")
