"""The packages of `app`, `domain` and `infra`: which may import which, how large they are, and what they say of themselves.

A pair that is missing in ALLOWED, or no longer needed, fails. `python -m tests.architecture.packages --pairs` prints
the table as the source has it.
"""

import ast
from collections import Counter
from collections.abc import Collection, Mapping

import pytest

from tests.architecture import packages

MOST_MODULES = 20
LONGEST_PURPOSE = 200
"""Characters of the first line of a package's docstring."""

ALLOWED: dict[str, set[str]] = {
    "app": {
        "app.controllers",
        "app.log_lines",
        "app.middleware",
        "app.problems",
        "app.process",
        "app.requests",
        "app.services",
        "domain.use_cases",
    },
    "app.cli": {
        "domain.use_cases",
    },
    "app.controllers": {
        "app.console",
        "app.dto",
        "app.dto.anthropic_messages",
        "app.dto.native",
        "app.dto.openai_chat",
        "app.dto.openai_embeddings",
        "app.dto.openai_responses",
        "app.problems",
        "app.requests",
        "app.responses",
        "app.server",
        "app.services",
        "domain.use_cases.background",
    },
    "app.dto.anthropic_messages": {
        "app.dto",
        "app.problems",
        "app.responses",
    },
    "app.dto.native": {
        "app.dto",
        "app.problems",
        "app.responses",
        "domain.entities.background",
        "domain.entities.usage",
        "domain.use_cases.background",
    },
    "app.dto.openai_chat": {
        "app.dto",
        "app.problems",
        "app.responses",
    },
    "app.dto.openai_embeddings": {
        "app.dto",
        "domain.entities.embeddings",
    },
    "app.dto.openai_responses": {
        "app.dto",
        "app.dto.openai_chat",
        "app.problems",
        "app.responses",
        "app.services",
        "domain.entities.background",
        "domain.use_cases.background",
    },
    "app.log_lines": {
        "domain.entities.background",
    },
    "app.middleware": {
        "app.log_lines",
        "app.problems",
        "app.requests",
    },
    "app.problems": {
        "app.dto",
    },
    "app.requests": {
        "app.problems",
        "app.services",
        "domain.entities.background",
        "domain.use_cases.background",
    },
    "app.responses": {
        "app.problems",
        "app.process",
        "app.requests",
        "app.services",
        "domain.use_cases.background",
    },
    "app.server": {
        "app.problems",
        "app.process",
    },
    "app.services": {
        "domain",
        "domain.entities.background",
        "domain.entities.embeddings",
        "domain.entities.usage",
        "domain.use_cases",
        "domain.use_cases.background",
        "domain.use_cases.conversations",
        "domain.use_cases.embeddings",
        "domain.use_cases.usage",
    },
    "domain.entities": {
        "domain",
        "domain.exceptions",
    },
    "domain.entities.background": {
        "domain.entities",
    },
    "domain.entities.embeddings": {
        "domain.entities",
    },
    "domain.entities.usage": {
        "domain.entities",
    },
    "domain.interfaces": {
        "domain.entities",
        "domain.entities.background",
        "domain.entities.embeddings",
        "domain.entities.usage",
    },
    "domain.timing": {
        "domain.interfaces",
    },
    "domain.use_cases": {
        "domain.entities",
        "domain.entities.background",
        "domain.exceptions",
        "domain.interfaces",
        "domain.timing",
    },
    "domain.use_cases.background": {
        "domain.entities",
        "domain.entities.background",
        "domain.exceptions",
        "domain.interfaces",
        "domain.use_cases",
    },
    "domain.use_cases.conversations": {
        "domain.entities",
        "domain.exceptions",
        "domain.interfaces",
        "domain.use_cases",
    },
    "domain.use_cases.embeddings": {
        "domain.entities",
        "domain.entities.embeddings",
        "domain.interfaces",
    },
    "domain.use_cases.usage": {
        "domain.entities.usage",
        "domain.interfaces",
    },
    "infra.answers": {
        "domain.entities.background",
        "infra.history.format",
        "infra.tasks",
    },
    "infra.answers.dynamodb": {
        "domain.entities.background",
        "infra.answers",
        "infra.history.format",
        "infra.storage.aws",
    },
    "infra.answers.mongo": {
        "domain.entities.background",
        "infra.answers",
        "infra.history.mongo",
        "infra.storage.mongo",
        "infra.tasks",
    },
    "infra.answers.sqlite": {
        "domain.entities.background",
        "infra.answers",
        "infra.history.sqlite",
        "infra.storage.sqlite",
        "infra.tasks",
    },
    "infra.attachments": {
        "domain.use_cases",
        "infra",
        "infra.history.mongo",
        "infra.history.sqlite.outbox",
        "infra.history.store",
        "infra.storage",
        "infra.storage.aws",
        "infra.storage.mongo",
        "infra.storage.sqlite",
        "infra.tasks",
    },
    "infra.history": {
        "infra",
        "infra.attachments",
        "infra.history.sqlite.outbox",
        "infra.history.sqs",
        "infra.history.store",
        "infra.settings",
        "infra.storage.aws",
        "infra.stores",
    },
    "infra.history.dynamodb": {
        "domain.entities.usage",
        "infra",
        "infra.history.format",
        "infra.history.queries",
        "infra.history.store",
        "infra.storage.aws",
        "infra.tasks",
    },
    "infra.history.mongo": {
        "domain.entities.usage",
        "infra.history.format",
        "infra.history.queries",
        "infra.history.store",
        "infra.storage.mongo",
        "infra.tasks",
    },
    "infra.history.sqlite": {
        "domain.entities.usage",
        "infra",
        "infra.history.format",
        "infra.history.sqlite.search",
        "infra.history.store",
        "infra.storage",
        "infra.storage.sqlite",
        "infra.tasks",
    },
    "infra.history.sqlite.outbox": {
        "domain.entities.usage",
        "infra",
        "infra.history.format",
        "infra.history.queries",
        "infra.history.sqlite",
        "infra.history.store",
        "infra.storage",
        "infra.storage.sqlite",
        "infra.tasks",
    },
    "infra.history.sqlite.search": {
        "infra.history.format",
        "infra.storage.sqlite",
    },
    "infra.history.sqs": {
        "infra",
        "infra.history.format",
        "infra.history.sqlite.outbox",
        "infra.history.store",
        "infra.storage.aws",
        "infra.tasks",
    },
    "infra.history.store": {
        "domain.entities.usage",
    },
    "infra.history.transfer": {
        "domain.use_cases",
        "infra.attachments",
        "infra.history.dynamodb",
        "infra.history.format",
        "infra.history.mongo",
        "infra.history.sqlite",
        "infra.history.store",
        "infra.storage",
        "infra.storage.aws",
    },
    "infra.idempotency": {
        "infra.storage.aws",
        "infra.storage.mongo",
    },
    "infra.idempotency.sqlite": {
        "infra.storage.sqlite",
    },
    "infra.limits": {
        "infra.security",
        "infra.storage.aws",
        "infra.storage.mongo",
    },
    "infra.llm": {
        "infra.llm.catalogue",
        "infra.llm.credentials",
        "infra.llm.embeddings",
        "infra.llm.pricing",
        "infra.llm.providers",
        "infra.llm.resilience",
        "infra.llm.transport",
        "infra.settings",
    },
    "infra.llm.catalogue": {
        "infra",
        "infra.llm.providers",
        "infra.llm.providers.bedrock",
        "infra.llm.transport",
        "infra.settings",
    },
    "infra.llm.credentials": {
        "infra.llm.transport",
        "infra.llm.transport.errors",
    },
    "infra.llm.embeddings": {
        "domain",
        "domain.entities.embeddings",
        "infra.llm.resilience",
    },
    "infra.llm.providers": {
        "domain.entities.embeddings",
        "infra.llm.providers.anthropic",
        "infra.llm.providers.bedrock",
        "infra.llm.providers.gemini",
        "infra.llm.providers.openai",
        "infra.llm.transport",
    },
    "infra.llm.providers.anthropic": {
        "infra.llm.transport",
        "infra.llm.transport.errors",
    },
    "infra.llm.providers.bedrock": {
        "infra",
        "infra.llm.providers.anthropic",
        "infra.llm.transport",
        "infra.llm.transport.errors",
    },
    "infra.llm.providers.gemini": {
        "domain.entities.embeddings",
        "infra.llm.transport",
        "infra.llm.transport.errors",
    },
    "infra.llm.providers.openai": {
        "domain.entities.embeddings",
        "infra.llm.transport",
        "infra.llm.transport.errors",
    },
    "infra.llm.resilience": {
        "domain.timing",
        "infra.llm.catalogue",
    },
    "infra.llm.transport": {
        "infra.llm.transport.errors",
    },
    "infra.logging": {
        "infra",
        "infra.settings",
    },
    "infra.security": {
        "infra",
        "infra.security.api_keys",
        "infra.settings",
        "infra.storage",
        "infra.tasks",
    },
    "infra.security.api_keys": {
        "infra",
        "infra.storage",
        "infra.tasks",
    },
    "infra.selftest": {
        "infra",
        "infra.llm",
        "infra.llm.catalogue",
        "infra.llm.providers",
        "infra.settings",
    },
    "infra.settings": {
        "infra",
    },
    "infra.storage.aws": {
        "infra",
        "infra.settings",
    },
    "infra.storage.mongo": {
        "infra",
        "infra.tasks",
    },
    "infra.storage.sqlite": {
        "infra",
        "infra.storage",
    },
    "infra.stores": {
        "infra",
        "infra.answers.dynamodb",
        "infra.answers.mongo",
        "infra.answers.sqlite",
        "infra.attachments",
        "infra.history.dynamodb",
        "infra.history.mongo",
        "infra.history.sqlite",
        "infra.history.store",
        "infra.history.transfer",
        "infra.idempotency",
        "infra.idempotency.sqlite",
        "infra.limits",
        "infra.security",
        "infra.settings",
        "infra.storage.aws",
        "infra.tasks",
    },
    "infra.telemetry": {
        "domain.entities.background",
        "infra",
        "infra.llm.resilience",
        "infra.settings",
        "infra.telemetry.metrics",
        "infra.telemetry.tracing",
    },
    "infra.telemetry.metrics": {
        "domain.entities.background",
        "domain.use_cases.background",
        "infra.llm.resilience",
        "infra.tasks",
    },
    "infra.telemetry.tracing": {
        "domain.entities.background",
        "infra",
        "infra.settings",
        "infra.telemetry.metrics",
    },
}
"""By package, the packages it may import; `packages.OPEN_TO_ALL` is left out except within the domain."""


def test_packages_import_only_the_packages_they_may() -> None:
    found = _pairs(packages.package_pairs())
    allowed = _pairs(ALLOWED)
    assert not found - allowed, "imports between packages that ALLOWED does not list"
    assert not allowed - found, "ALLOWED lists imports that are gone"


def test_packages_do_not_import_one_another_in_a_circle() -> None:
    assert packages.cycles(packages.package_imports()) == []


def test_a_circle_of_packages_is_found() -> None:
    edges = {
        "a": Counter({"b": 1}),
        "b": Counter({"c": 1}),
        "c": Counter({"a": 1}),
        "d": Counter({"a": 1}),
    }
    assert packages.cycles(edges) == [["a", "b", "c"]]


def test_no_package_has_more_than_twenty_modules() -> None:
    sizes = packages.modules_per_package()
    assert {name: size for name, size in sizes.items() if size > MOST_MODULES} == {}


def test_no_three_modules_of_a_package_share_their_first_word() -> None:
    assert packages.shared_prefixes() == []


@pytest.mark.parametrize("package", packages.packages())
def test_a_package_says_its_purpose_in_one_line(package: str) -> None:
    source = packages.packages()[package].read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(source)) or ""
    purpose, _, rest = docstring.partition("\n")
    assert purpose.endswith(".")
    assert len(purpose) <= LONGEST_PURPOSE
    assert not rest or rest.startswith("\n"), "the first sentence goes on in the second line"


def _pairs(table: Mapping[str, Collection[str]]) -> set[str]:
    return {f"{source} -> {target}" for source, targets in table.items() for target in targets}
