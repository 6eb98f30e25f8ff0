"""Settings: one typed tree, from `povod.toml` and `POVOD_*` variables (a variable wins).

`POVOD_DATABASE__URL=postgresql://...` sets `[database] url`. A value that can't be used is an `InvalidSettings` that names the key,
the value (never a secret's) and the cure; an unknown key is one with a suggestion. Secrets are `SecretStr` and never printed.
"""

from services.runtime.settings.loading import load_settings
from services.runtime.settings.tree import (
    DatabaseSettings,
    DispatchSettings,
    Duration,
    HookSettings,
    IngestSettings,
    LinkSettings,
    LogSettings,
    ReceiptSettings,
    RulesSettings,
    Section,
    SecuritySettings,
    Settings,
    SmsSettings,
    SmtpSettings,
    TelegramSettings,
    TelemetrySettings,
)

__all__ = [
    "DatabaseSettings",
    "DispatchSettings",
    "Duration",
    "HookSettings",
    "IngestSettings",
    "LinkSettings",
    "LogSettings",
    "ReceiptSettings",
    "RulesSettings",
    "Section",
    "SecuritySettings",
    "Settings",
    "SmsSettings",
    "SmtpSettings",
    "TelegramSettings",
    "TelemetrySettings",
    "load_settings",
]
