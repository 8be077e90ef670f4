"""Rules as the rows of the table in docs/errors.md."""

from __future__ import annotations

from collections.abc import Iterator

from prefect_instrumentation._errors.rules import Rule, Rules


def rows(rules: Rules) -> list[str]:
    """Return a Markdown table of rules, in their order."""
    head = ["| # | Category | Conditions |", "|---|---|---|"]
    return head + [
        f"| {number} | `{rule.category}` | {'; '.join(_conditions(rule))} |"
        for number, rule in enumerate(rules, 1)
    ]


def _conditions(rule: Rule) -> Iterator[str]:
    named = {
        "type": rule.types,
        "package": rule.packages,
        "state": rule.states,
        "status": rule.statuses,
        "raised in": rule.raised_in,
    }
    for condition, names in named.items():
        if names:
            yield f"{condition} {', '.join(f'`{name}`' for name in sorted(names))}"
    if rule.message:
        pattern = rule.message.pattern.replace("|", r"\|")
        yield f"message `{pattern}`"
    if rule.in_api_client:
        yield "in Prefect's API client"
