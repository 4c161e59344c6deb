"""The errors of the domain.

    DomainError
    ├── Unauthenticated              no credentials, or invalid ones
    ├── AuthUnavailable              credentials cannot be checked
    ├── Forbidden                    another user, a missing scope, or a client that is not allowed
    ├── RateLimited                  a limit of the caller is exhausted
    ├── NotFound                     the user has no such interaction
    │   ├── PreviousResponseNotFound the response to continue
    │   └── ItemNotFound             an item that the request refers to
    ├── InvalidInput                 a value that violates a rule of the domain
    │   └── NoSuchOpenCall           tool results without an open call; lists their ids
    ├── UnsupportedInput             known to the API format, not supported here
    ├── InvalidCursor                altered, or issued for another query
    ├── UnknownModel                 not in the catalogue; lists the known ids
    ├── RetiredModel                 withdrawn; names its successor
    ├── UnsupportedByModel           the model lacks a capability; lists the models that have it
    ├── InvalidAttachment            unknown, too large, or of another type than stated
    ├── ToolResultsMissing           a part of the open tool calls is not answered; lists their ids
    ├── Overloaded                   too many concurrent requests
    ├── IdempotencyInProgress        the first request with this key is still running
    ├── IdempotencyMismatch          the key was used with another request
    ├── IdempotencyUnavailable       idempotency records cannot be stored
    ├── HistoryError
    │   ├── HistoryUnavailable       nothing can be stored; no provider was called
    │   │   ├── Unstorable           this interaction can never be stored; others may be
    │   │   ├── AttachmentsUnavailable  attachments of the interaction cannot be stored yet
    │   │   ├── AnswerExists         there is, or was, a background answer of this id
    │   │   └── AnswerWithdrawn      a background answer was not accepted, and no process generates it
    │   ├── QueueUnavailable         the queue in front of the store does not answer
    │   ├── HistoryNotDurable        answered, but the interaction could not be stored
    │   ├── HistoryUnreadable        the store does not answer
    │   │   └── HistoryDamaged       the store returns unreadable data
    │   └── LeaseLost                another process writes the background answer now
    ├── CannotContinue               no model continues a partial answer
    └── LLMError
        ├── LLMTimeout               no text, or no complete answer, in time
        ├── LLMUnavailable           network failure, server error, or an unreadable or broken answer
        │   └── AnswerDoesNotFit     not the requested JSON
        ├── LLMRateLimited           the provider limits our rate
        ├── LLMMisconfigured         the provider rejects our key or model name
        ├── LLMRejected              the provider rejects this request
        ├── ContextTooLong           larger than the model's context window
        ├── ContentBlocked           refused by a safety filter before any text
        ├── NoRoute                  every route is closed
        └── BulkheadFull             too many concurrent calls of this provider; if of all, `Overloaded`

They hold facts only: no HTTP details, no text of a provider, no input of a caller.
"""

from domain.exceptions.access import AuthUnavailable, RateLimited, Unauthenticated
from domain.exceptions.base import (
    CannotContinue,
    DomainError,
    Forbidden,
    InvalidAttachment,
    InvalidCursor,
    InvalidInput,
    ItemNotFound,
    NoSuchOpenCall,
    NotFound,
    Overloaded,
    PreviousResponseNotFound,
    RetiredModel,
    ToolResultsMissing,
    UnknownModel,
    UnsupportedByModel,
    UnsupportedInput,
)
from domain.exceptions.history import (
    AnswerExists,
    AnswerWithdrawn,
    AttachmentsUnavailable,
    HistoryDamaged,
    HistoryError,
    HistoryNotDurable,
    HistoryUnavailable,
    HistoryUnreadable,
    LeaseLost,
    QueueUnavailable,
    Unstorable,
)
from domain.exceptions.idempotency import (
    IdempotencyInProgress,
    IdempotencyMismatch,
    IdempotencyUnavailable,
)
from domain.exceptions.llm import (
    AnswerDoesNotFit,
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
    "AnswerDoesNotFit",
    "AnswerExists",
    "AnswerWithdrawn",
    "AttachmentsUnavailable",
    "AuthUnavailable",
    "BulkheadFull",
    "CannotContinue",
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
    "InvalidAttachment",
    "InvalidCursor",
    "InvalidInput",
    "ItemNotFound",
    "LLMError",
    "LLMMisconfigured",
    "LLMRateLimited",
    "LLMRejected",
    "LLMTimeout",
    "LLMUnavailable",
    "LeaseLost",
    "NoRoute",
    "NoSuchOpenCall",
    "NotFound",
    "Overloaded",
    "PreviousResponseNotFound",
    "QueueUnavailable",
    "RateLimited",
    "RetiredModel",
    "ToolResultsMissing",
    "Unauthenticated",
    "UnknownModel",
    "Unstorable",
    "UnsupportedByModel",
    "UnsupportedInput",
]
