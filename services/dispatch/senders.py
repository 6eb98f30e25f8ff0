"""The senders that the settings describe: one a channel."""

from services.contracts.errors import InvalidSettings
from services.contracts.ids import Channel
from services.dispatch.channels.port import Sender
from services.dispatch.channels.sms import HttpSmsSender
from services.dispatch.channels.smtp import SmtpSender
from services.dispatch.channels.telegram import TelegramSender
from services.dispatch.channels.unconfigured import UnconfiguredSender
from services.runtime.clock import Clock
from services.runtime.settings import DispatchSettings


def build_senders(settings: DispatchSettings, clock: Clock) -> tuple[Sender, ...]:
    """Return a sender for e-mail, SMS and Telegram each; one without settings rejects what it is given.

    Raises `InvalidSettings`. To be called inside the running event loop; connections are made at the first message.
    """
    try:
        email = SmtpSender(settings.smtp, clock)
    except ValueError as error:
        raise InvalidSettings(f"dispatch.smtp.sender: {error}; write it as `Shop <hello@shop.example>`") from error
    sms: Sender = HttpSmsSender(settings.sms) if settings.sms.url else UnconfiguredSender(Channel("sms"), "dispatch.sms.url")
    telegram: Sender = (
        TelegramSender(settings.telegram)
        if settings.telegram.token.get_secret_value()
        else UnconfiguredSender(Channel("telegram"), "dispatch.telegram.token")
    )
    return email, sms, telegram
