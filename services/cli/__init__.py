"""The command line: where services and workers are put together. Each command imports what it needs when it runs."""
