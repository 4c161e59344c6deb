"""Everything that can go wrong, in the domain's words.

    DomainError
    ├── Unauthenticated              no credentials, or none that hold
    ├── AuthUnavailable              credentials cannot be checked
    ├── Forbidden                    another user, a missing scope, a client that is not let in
    ├── RateLimited                  the caller's own limit is used up
    ├── NotFound                     this user has no such interaction
    ├── InvalidInput                 a value that only the domain can judge
    ├── InvalidCursor                edited, or made for another query
    ├── UnknownModel                 not in the catalogue; names what is
    ├── RetiredModel                 once known; names its successor
    ├── Overloaded                   more at once than we take
    ├── IdempotencyInProgress        the first request with this key still runs
    ├── IdempotencyMismatch          the key was used with another request
    ├── IdempotencyUnavailable       keys cannot be kept
    ├── HistoryError
    │   ├── HistoryUnavailable       nothing can be kept; nobody was asked yet
    │   │   └── Unstorable           this can never be kept; the rest may be
    │   ├── QueueUnavailable         the queue before the store does not answer
    │   ├── HistoryNotDurable        answered, but it could not be kept
    │   └── HistoryUnreadable        the store does not answer
    │       └── HistoryDamaged       it answers with what cannot be read
    └── LLMError
        ├── LLMTimeout               silence, or no full answer in time
        ├── LLMUnavailable           network failure, the provider's own fault, an unreadable or broken answer
        ├── LLMRateLimited           slow down
        ├── LLMMisconfigured         our key or our model name is not accepted there
        ├── LLMRejected              the provider refuses this very request
        ├── ContextTooLong           more than the model's window
        ├── ContentBlocked           a safety filter, before any text
        ├── NoRoute                  nobody may be asked now
        └── BulkheadFull             this provider has enough to do; where all have, `Overloaded`

Facts only: no HTTP, no provider's text, nothing of the caller's input.
"""

from domain.exceptions.access import AuthUnavailable, RateLimited, Unauthenticated
from domain.exceptions.base import (
    DomainError,
    Forbidden,
    InvalidCursor,
    InvalidInput,
    NotFound,
    Overloaded,
    RetiredModel,
    UnknownModel,
)
from domain.exceptions.history import (
    HistoryDamaged,
    HistoryError,
    HistoryNotDurable,
    HistoryUnavailable,
    HistoryUnreadable,
    QueueUnavailable,
    Unstorable,
)
from domain.exceptions.idempotency import (
    IdempotencyInProgress,
    IdempotencyMismatch,
    IdempotencyUnavailable,
)
from domain.exceptions.llm import (
    BulkheadFull,
    ContentBlocked,
    ContextTooLong,
    LLMError,
    LLMMisconfigured,
    LLMRateLimited,
    LLMRejected,
    LLMTimeout,
    LLMUnavailable,
    NoRoute,
)

__all__ = [
    "AuthUnavailable",
    "BulkheadFull",
    "ContentBlocked",
    "ContextTooLong",
    "DomainError",
    "Forbidden",
    "HistoryDamaged",
    "HistoryError",
    "HistoryNotDurable",
    "HistoryUnavailable",
    "HistoryUnreadable",
    "IdempotencyInProgress",
    "IdempotencyMismatch",
    "IdempotencyUnavailable",
    "InvalidCursor",
    "InvalidInput",
    "LLMError",
    "LLMMisconfigured",
    "LLMRateLimited",
    "LLMRejected",
    "LLMTimeout",
    "LLMUnavailable",
    "NoRoute",
    "NotFound",
    "Overloaded",
    "QueueUnavailable",
    "RateLimited",
    "RetiredModel",
    "Unauthenticated",
    "UnknownModel",
    "Unstorable",
]
