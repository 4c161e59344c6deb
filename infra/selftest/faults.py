"""All faults by name: the name of the upstream model up to the first `@`."""

from infra.selftest.bad_bodies import BAD_BODIES
from infra.selftest.broken_connections import BROKEN_CONNECTIONS
from infra.selftest.damaged_streams import DAMAGED_STREAMS
from infra.selftest.fault import Fault, healthy
from infra.selftest.rate_limits import RATE_LIMITS
from infra.selftest.refusals import REFUSALS
from infra.selftest.slow_answers import SLOW_ANSWERS

FAULTS: dict[str, Fault] = {
    "healthy": healthy,
    **REFUSALS,
    **RATE_LIMITS,
    **BROKEN_CONNECTIONS,
    **SLOW_ANSWERS,
    **DAMAGED_STREAMS,
    **BAD_BODIES,
}
