"""A report on the whole workspace, made by Prefect itself; `docs/report.md` quotes these files."""
