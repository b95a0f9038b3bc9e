"""The event bus: committed events leave for the exchange that downstream systems listen to."""
