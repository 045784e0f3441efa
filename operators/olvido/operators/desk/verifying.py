"""A sink looks again because a person asks: at those whom it erased, and whose boxes it still keeps."""

from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime

from olvido.broker.kafka import KafkaPublisher
from olvido.core.errors import InvalidInput
from olvido.core.looks import LookResult, NotVerified
from olvido.operators.desk.faults import check_declared
from olvido.operators.settings import own_signing_file, private_keys
from olvido.schemas.codec import looks_codec
from olvido.schemas.privacy.opening import Opener
from olvido.schemas.registry import Registry
from olvido.schemas.settings.deployment import Deployment, principal_of
from olvido.sinks.contract import LookingAgain
from olvido.sinks.plugins import load_sink
from olvido.sinks.run import sealer_of
from olvido.sinks.sweeping import Sweeping


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAgain:
    """What a sink has found."""

    sink: str
    since: datetime
    looked: int  # erasures that were searched for
    forgotten: int  # that were not, since the key of their boxes is destroyed
    not_verified: tuple[NotVerified, ...]

    @property
    def found_again(self) -> int:
        """How many erasures must be done again, and are asked for by now."""
        return sum(one.result is LookResult.FOUND_AGAIN for one in self.not_verified)


def verify(declared: Deployment, name: str, *, since: datetime) -> LookedAgain:
    """Have a sink look again at all that it erased since an instant, some hundred erasures at a time.

    It is done here, and not asked of the sink's process: so here must be what that one is given, the address
    of the target and the private keys of its region. It is published as the sink itself publishes it.

    Raises:
        InvalidInput: there is no such sink, or it is of a kind that cannot look again.
        ConfigError: the target's address or the region's keys are not here.
        Unavailable: the target, the registry or the broker does not answer. A repeat begins anew.
        Refused: the target refuses the search.
    """
    check_declared(name, declared.sinks)
    section = declared.sinks[name]
    with closing(load_sink(declared, name)) as sink, ExitStack() as stack:
        if not isinstance(sink, LookingAgain):
            raise InvalidInput("sink", f"{name} is of kind {section.kind}, which cannot look again")
        publisher = stack.enter_context(closing(KafkaPublisher(declared.kafka, client_id="olvido.operators")))
        opener = Opener(section.region, declared.keys.private_dir or private_keys(section.region))
        sealer = sealer_of(declared, name, own_signing_file(declared, principal_of(name)))
        sweeping = Sweeping(
            sink, name=name, opener=opener, sealer=sealer, looks=looks_codec(Registry(declared.registry)),
            publisher=publisher, source=declared.source,
        )  # fmt: skip
        looks = list(sweeping.looks_since(since))
    return LookedAgain(
        sink=name,
        since=since,
        looked=sum(look.looked for look in looks),
        forgotten=sum(look.forgotten for look in looks),
        not_verified=tuple(one for look in looks for one in look.not_verified),
    )
