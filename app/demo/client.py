"""The demo's side of HTTP: one caller with a key, whose errors say what the service said."""

import time
from typing import Any

import httpx

from app.demo.errors import DemoError

_TRIES = 5


class Client:
    """Calls the service with a key."""

    def __init__(self, url: str, key: str) -> None:
        # A proxy of the environment has no business between the demo and its own service.
        self._http = httpx.Client(
            base_url=f"{url}/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int) -> Any:
        """Return the body of the answer."""
        return self._call("GET", path, params=params).json()

    def post(self, path: str, body: object, *, idempotency_key: str) -> Any:
        """Return the body of the answer; the key makes it safe to ask again."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._call("POST", path, json=body, headers=headers).json()

    def _call(self, method: str, path: str, **rest: Any) -> httpx.Response:
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(0.5 * attempt)
            try:
                response = self._http.request(method, path, **rest)
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
