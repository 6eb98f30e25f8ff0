"""Each service needs its own extra and nothing of another's; CI also installs each one for real."""

import pytest

from tests.architecture.installation import distributions_of, run_with_extra

IMPORT_FOLDERS = """
for folder in ("services.contracts", "services.runtime", "services." + sys.argv[1]):
    for module in pkgutil.walk_packages(importlib.import_module(folder).__path__, folder + "."):
        if ".standins" not in module.name:
            importlib.import_module(module.name)
"""
CALL_HELP = """
from services.cli import main
main([sys.argv[1], "--help"])
"""
IMPORT_LIBRARY = "importlib.import_module(sys.argv[1])"
FOREIGN = [("ingest", "babel"), ("ingest", "aiosmtplib"), ("rules", "fastapi"), ("rules", "jinja2"), ("dispatch", "fastapi")]


@pytest.mark.parametrize("service", ["ingest", "rules", "dispatch"])
def test_service_imports_with_its_own_extra(service: str) -> None:
    """Every module that a service is made of imports with the libraries of its extra alone."""
    result = run_with_extra(service, IMPORT_FOLDERS, service)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("service", ["ingest", "rules", "dispatch"])
def test_command_answers_with_its_own_extra(service: str) -> None:
    """The service's command answers with the libraries of its extra alone."""
    result = run_with_extra(service, CALL_HELP, service)
    assert result.returncode == 0, result.stderr
    assert f"povod {service}" in result.stdout


@pytest.mark.parametrize(("extra", "library"), FOREIGN)
def test_foreign_libraries_are_out_of_reach(extra: str, library: str) -> None:
    """The check itself works: a library of another extra can't be imported."""
    result = run_with_extra(extra, IMPORT_LIBRARY, library)
    assert f"No module named '{library}'" in result.stderr


def test_extras_bring_what_they_name() -> None:
    """The drivers of Kafka and PostgreSQL come with every service, the HTTP server with ingest only."""
    brought = {service: distributions_of(service) for service in ("ingest", "rules", "dispatch")}
    assert all({"aiokafka", "asyncpg", "sqlalchemy", "greenlet"} <= names for names in brought.values())
    assert [service for service, names in brought.items() if "uvicorn" in names] == ["ingest"]
