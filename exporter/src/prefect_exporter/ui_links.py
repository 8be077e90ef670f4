"""Addresses of Prefect's own pages: where a person looks at a run, a deployment, a pool."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

_CLOUD = re.compile(r"https://api\.prefect\.cloud/api/accounts/([^/]+)/workspaces/([^/]+)/?")


@dataclass(frozen=True, slots=True)
class UiLinks:
    """The pages of one server or workspace; *base* has no slash at its end."""

    base: str

    def flow_run(self, run_id: UUID) -> str:
        """Return the page of a flow run."""
        return f"{self.base}/runs/flow-run/{run_id}"

    def deployment(self, deployment_id: UUID) -> str:
        """Return the page of a deployment."""
        return f"{self.base}/deployments/deployment/{deployment_id}"

    def flow(self, flow_id: UUID) -> str:
        """Return the page of a flow."""
        return f"{self.base}/flows/flow/{flow_id}"

    def work_pool(self, name: str) -> str:
        """Return the page of a work pool."""
        return f"{self.base}/work-pools/work-pool/{quote(name, safe='')}"

    def automation(self, automation_id: UUID) -> str:
        """Return the page of an automation."""
        return f"{self.base}/automations/automation/{automation_id}"


def ui_links(api_url: str, ui_url: str | None = None) -> UiLinks:
    """Return the pages that belong to an API's address, unless *ui_url* says where they are."""
    if ui_url:
        return UiLinks(ui_url.rstrip("/"))
    if cloud := _CLOUD.fullmatch(api_url):
        account, workspace = cloud.groups()
        return UiLinks(f"https://app.prefect.cloud/account/{account}/workspace/{workspace}")
    return UiLinks(api_url.rstrip("/").removesuffix("/api"))
