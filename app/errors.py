"""Every error a caller can see, as one tree; each class is one row of the table of codes.

AppError
├── MalformedRequest 400 malformed
│   └── InvalidCursor 400 invalid_cursor
├── Unauthorized 401 unauthorized
├── MissingScope 403 missing_scope
├── NotFound 404 not_found
├── MethodNotAllowed 405 method_not_allowed
├── RequestTimeout 408 request_timeout
├── Conflict 409 conflict
│   ├── AlreadyVoided 409 already_voided
│   ├── IdempotencyInProgress 409 idempotency_in_progress
│   ├── InvalidTransition 409 invalid_transition
│   ├── LastAdminKey 409 last_admin_key
│   ├── NoModel 409 no_model
│   ├── OperationRunning 409 operation_running
│   └── PreviewStale 409 preview_stale
├── StaleVersion 412 stale_version
│   └── PreviewExpired 412 preview_expired
├── PayloadTooLarge 413 payload_too_large
├── UnsupportedMediaType 415 unsupported_media_type
├── ValidationFailed 422 validation_failed
│   ├── BatchRejected 422 batch_rejected
│   └── IdempotencyKeyReused 422 idempotency_key_reused
├── RateLimited 429 rate_limited
├── HeadTooLarge 431 head_too_large
├── InternalError 500 internal_error
└── Unavailable 503 unavailable
    ├── Overloaded 503 overloaded
    ├── TooManyConnections 503 too_many_connections
    ├── DatabaseUnavailable 503 database_unavailable
    ├── ReportTooLong 503 report_too_long
    ├── Draining 503 draining
    ├── ExportsBusy 503 exports_busy
    └── ImportsBusy 503 imports_busy
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


def printable(text: str, limit: int = 100) -> str:
    """Return the text cut, without control characters and lone surrogates."""
    text = text[:limit]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of a request: where (a JSON pointer, `query:name` or `header:name`), and what."""

    pointer: str
    code: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {"pointer": self.pointer, "code": self.code, "detail": self.detail}


class AppError(Exception):
    """Base of all: carries what a problem document (RFC 9457) needs."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Something went wrong on our side"
    own_headers: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = {**self.own_headers, **(headers or {})}
        self.extra = extra
        self.key_id: str | None = None  # who is refused, for the access log

    def problem(self, *, instance: str, request_id: str) -> dict[str, Any]:
        """Return the problem document of this error for one request."""
        return {
            "type": f"urn:clm:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "code": self.code,
            "request_id": request_id,
            "errors": [error.as_dict() for error in self.errors],
            **self.extra,
        }


class MalformedRequest(AppError):
    status = 400
    code = "malformed"
    title = "The request cannot be read"


class InvalidCursor(MalformedRequest):
    code = "invalid_cursor"
    title = "The cursor is not one of ours, or belongs to other filters"


class Unauthorized(AppError):
    status = 401
    code = "unauthorized"
    title = "A valid API key is needed"
    own_headers: ClassVar = {"WWW-Authenticate": "Bearer"}


class MissingScope(AppError):
    status = 403
    code = "missing_scope"
    title = "The API key lacks the scope of this operation"


class NotFound(AppError):
    status = 404
    code = "not_found"
    title = "There is no such thing here"


class MethodNotAllowed(AppError):
    status = 405
    code = "method_not_allowed"
    title = "This path does not answer that method"


class RequestTimeout(AppError):
    status = 408
    code = "request_timeout"
    title = "The request did not arrive in time"


class Conflict(AppError):
    status = 409
    code = "conflict"
    title = "The request contradicts what is stored"


class AlreadyVoided(Conflict):
    code = "already_voided"
    title = "The fact was voided before"


class IdempotencyInProgress(Conflict):
    code = "idempotency_in_progress"
    title = "A request with the same Idempotency-Key is still running"

    def __init__(self, detail: str | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("headers", {"Retry-After": "1"})
        super().__init__(detail, **kwargs)


class InvalidTransition(Conflict):
    code = "invalid_transition"
    title = "The policy in force allows no such transition"


class LastAdminKey(Conflict):
    code = "last_admin_key"
    title = "Nobody could make keys any more"


class NoModel(Conflict):
    code = "no_model"
    title = "No model has been fitted yet; POST /v1/models or /v1/scoring-runs first"


class OperationRunning(Conflict):
    code = "operation_running"
    title = "Another operation of this kind is running"


class PreviewStale(Conflict):
    code = "preview_stale"
    title = "Stages have changed since the preview"


class StaleVersion(AppError):
    status = 412
    code = "stale_version"
    title = "The stored version is not the one named in If-Match"


class PreviewExpired(StaleVersion):
    code = "preview_expired"
    title = "The preview is too old to be acted upon; make another"


class PayloadTooLarge(AppError):
    status = 413
    code = "payload_too_large"
    title = "The request body is larger than the limit"


class UnsupportedMediaType(AppError):
    status = 415
    code = "unsupported_media_type"
    title = "The body must be JSON in UTF-8, as it is or packed with gzip"


class ValidationFailed(AppError):
    status = 422
    code = "validation_failed"
    title = "The request does not fit its description"


class BatchRejected(ValidationFailed):
    code = "batch_rejected"
    title = "Nothing was written, because an item of the atomic batch was rejected"


class IdempotencyKeyReused(ValidationFailed):
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used with another request"


class RateLimited(AppError):
    status = 429
    code = "rate_limited"
    title = "The API key makes more requests than it may"
    own_headers: ClassVar = {"Retry-After": "1"}


class HeadTooLarge(AppError):
    status = 431
    code = "head_too_large"
    title = "The head of the request has more bytes or fields than the limit"


class InternalError(AppError):
    pass


class Unavailable(AppError):
    status = 503
    code = "unavailable"
    title = "The service cannot answer right now; try again"
    own_headers: ClassVar = {"Retry-After": "1"}


class Overloaded(Unavailable):
    code = "overloaded"
    title = "This process has more to do than it can do in time"


class TooManyConnections(Unavailable):
    code = "too_many_connections"
    title = "More connections are open than this process admits"


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"
    title = "The database cannot be reached or did not answer in time"


class ReportTooLong(Unavailable):
    code = "report_too_long"
    title = "The report takes longer than a statement of a worker may"


class Draining(Unavailable):
    code = "draining"
    title = "This process is shutting down"


class ExportsBusy(Unavailable):
    code = "exports_busy"
    title = "As many exports as this process allows are under way"
    own_headers: ClassVar = {"Retry-After": "5"}


class ImportsBusy(Unavailable):
    code = "imports_busy"
    title = "As many files as this process takes in at once are on their way"
    own_headers: ClassVar = {"Retry-After": "5"}


def tree(root: type[AppError] = AppError) -> Iterator[type[AppError]]:
    """Yield every error class below `root`, `root` excluded, parents first."""
    for child in root.__subclasses__():
        yield child
        yield from tree(child)
