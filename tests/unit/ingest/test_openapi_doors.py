"""What the OpenAPI document says of other people's doors."""

from services.ingest.doors.registry import DOORS, PREFIXES
from services.ingest.openapi_doors import door_paths


def test_all_that_the_track_api_does_to_a_customer_is_in_the_document() -> None:
    """Every method and path of Customer.io's Track API below a customer is described, with what stands in the path as parameters."""
    paths = door_paths(DOORS, PREFIXES, {}, "#/components/schemas/{name}")
    below = {path.removeprefix("/api/v1/customers/"): found for path, found in paths.items() if path.startswith("/api/v1/customers/")}
    assert {(method, path) for path, found in below.items() for method in found} == {
        ("put", "{customer}"),
        ("delete", "{customer}"),
        ("post", "{customer}/events"),
        ("post", "{customer}/suppress"),
        ("post", "{customer}/unsuppress"),
        ("put", "{customer}/devices"),
        ("delete", "{customer}/devices/{token}"),
    }
    assert [each["name"] for each in below["{customer}/devices/{token}"]["delete"]["parameters"]] == ["customer", "token"]
