"""One id from a request to the last task that it starts; `docs/logging.md` quotes these files."""
