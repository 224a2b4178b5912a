"""HTTP as the demo and the commands of files use it: errors say what the service said."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx

from app.demo.errors import DemoError

_TRIES = 5


class Client:
    """Calls the service with a key."""

    def __init__(self, url: str, key: str, *, own: bool = True) -> None:
        # A proxy of the environment has no business between us and a service of our own.
        self._http = httpx.Client(
            base_url=f"{url}/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=not own,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int) -> Any:
        """Return the body of the answer."""
        return self._call("GET", path, params=params).json()

    def post(self, path: str, body: object, *, idempotency_key: str | None = None) -> Any:
        """Return the body of the answer; the key makes it safe to ask again."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._call("POST", path, json=body, headers=headers).json()

    def put(self, path: str, body: object) -> Any:
        """Return the body of the answer."""
        return self._call("PUT", path, json=body).json()

    def send(self, path: str, content: Callable[[], Iterable[bytes]], **params: str) -> Any:
        """Send a file, from its beginning at each try; return the body of the answer."""
        return self._call("POST", path, content=content, params=params).json()

    @contextlib.contextmanager
    def lines(self, path: str, form: str, **params: str | int) -> Iterator[httpx.Response]:
        """Yield an answer of all lines, to be read while it arrives."""
        headers = {"Accept": form}
        try:
            with self._http.stream("GET", path, params=params, headers=headers) as answer:
                if not answer.is_success:
                    answer.read()
                    raise DemoError(f"GET {path} was answered {_told(answer)}")
                yield answer
        except httpx.TransportError as error:
            raise DemoError(f"GET {path} broke off: {error}") from None

    def _call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(0.5 * attempt)
            given = {k: v() if callable(v) else v for k, v in rest.items()}
            try:
                response = self._http.request(method, path, **given)
            except httpx.TransportError as error:
                problem = f"no answer to {method} {path}: {type(error).__name__}: {error}"
                continue
            if response.is_success:
                return response
            problem = f"{method} {path} was answered {_told(response)}"
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        raise DemoError(problem)


def _told(response: httpx.Response) -> str:
    try:
        body = response.json()
        faults = "; ".join(f"{fault['pointer']}: {fault['detail']}" for fault in body["errors"][:3])
        return f"{body['status']} {body['code']}: {body['detail']} {faults}".strip()
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200]}"
