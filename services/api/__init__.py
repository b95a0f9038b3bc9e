"""The HTTP edge: intake in plain routes, everything else described by OpenAPI."""
