"""How Faust's driver logs in to Kafka: the login of every client, in the form that Faust takes.

What only librdkafka understands of it is refused by its name: left out, it would be a weaker login than
the one that was asked for.
"""

import faust

from olvido.broker.login import OAUTHBEARER, PASSWORD, USER, login_of, refusal
from olvido.processors.engine_faust.tokens import Tokens
from olvido.schemas.settings.deployment import KafkaSection


def credentials_of(
    kafka: KafkaSection,
) -> faust.SSLCredentials | faust.SASLCredentials | faust.OAuthCredentials | None:
    """What Faust's driver logs in with; None where the options ask for neither TLS nor a user.

    Raises:
        ConfigError: an option about the login that is not understood here, contradicts another, or
            names what cannot be used.
    """
    login = login_of(kafka)
    for name in login.only_librdkafka:
        raise refusal(name, "is not understood by the processors on Faust; use --engine loop")
    if login.mechanism == OAUTHBEARER:
        return faust.OAuthCredentials(oauth_cb=Tokens(login.options), ssl_context=login.context)
    if login.mechanism is not None:
        return faust.SASLCredentials(
            mechanism=login.mechanism,
            username=login.options[USER],
            password=login.options[PASSWORD],
            ssl_context=login.context,
        )
    return None if login.context is None else faust.SSLCredentials(login.context)
