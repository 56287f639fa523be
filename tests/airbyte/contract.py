"""Holds requests and answers against the contract of Airbyte's public API."""

import json
from functools import lru_cache
from pathlib import Path

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.exceptions import OpenAPIError
from openapi_core.testing import MockRequest, MockResponse

HOST = "http://airbyte.test"
PREFIX = "/api/public/v1"


class Contract:
    """The contract, as servers keep it that ask for a token, and as older ones do that do not."""

    def __init__(self, path: Path) -> None:
        self._spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        self._spec["servers"] = [{"url": f"{HOST}{PREFIX}"}]
        # The metaschema was checked when the contract was made, and takes seconds.
        config = Config(spec_validator_cls=None)
        self._with_tokens = OpenAPI.from_dict(self._spec, config=config)
        self._without = OpenAPI.from_dict({**self._spec, "security": []}, config=config)

    @lru_cache(maxsize=512)  # noqa: B019  # one contract a session
    def violations(
        self, method: str, path: str, query: tuple[tuple[str, str], ...], scheme: str, body: bytes | None
    ) -> list[str]:
        """What is wrong with a request, or nothing; ``scheme`` is the first word of its authorization."""
        request = MockRequest(
            HOST, method.lower(), f"{PREFIX}{path}", args=dict(query), headers={"Authorization": f"{scheme} …"},
            data=body, content_type="application/json",
        )  # fmt: skip
        spec = self._with_tokens if scheme == "Bearer" else self._without
        wrong = [f"{method} {path}: {_told(error)}" for error in spec.iter_request_errors(request)]
        return wrong + self._foreign(method, path, body)

    @lru_cache(maxsize=512)  # noqa: B019  # one contract a session
    def answer_violations(self, method: str, path: str, status: int, body: bytes) -> list[str]:
        """What is wrong with an answer, or nothing."""
        request = MockRequest(HOST, method.lower(), f"{PREFIX}{path}")
        content_type = "application/json" if body else ""
        response = MockResponse(body, status_code=status, content_type=content_type)
        return [
            f"{status} to {method} {path}: {_told(error)}"
            for error in self._without.iter_response_errors(request, response)
        ]

    def _foreign(self, method: str, path: str, body: bytes | None) -> list[str]:
        """Fields of a body that the contract does not name; it allows them, and a server drops them."""
        pattern = "/".join("{}" if index == 2 else part for index, part in enumerate(path.split("/")))
        for template, operations in self._spec["paths"].items():
            named = "/".join("{}" if part.startswith("{") else part for part in template.split("/"))
            operation = operations.get(method.lower())
            if body is None or operation is None or "requestBody" not in operation:
                continue
            if path == template or (pattern == named and "{" in template):
                reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
                properties = self._spec["components"]["schemas"][reference.rsplit("/", 1)[1]]["properties"]
                return [f"{method} {path}: foreign field {name}" for name in json.loads(body) if name not in properties]
        return []


def _told(error: OpenAPIError) -> str:
    return f"{error!r}; {error.__cause__!r}"
