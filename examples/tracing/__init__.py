"""Flows whose traces say more, and who starts them; `docs/tracing.md` quotes these files."""
