"""All kinds of objects, in the order in which they are made: what one needs comes before it."""

from __future__ import annotations

from backup.objects.automations import AUTOMATIONS
from backup.objects.block_documents import BLOCK_DOCUMENTS
from backup.objects.block_schemas import BLOCK_SCHEMAS
from backup.objects.block_types import BLOCK_TYPES
from backup.objects.concurrency_limits import CONCURRENCY_LIMITS, TAG_LIMITS
from backup.objects.deployments import DEPLOYMENTS
from backup.objects.flows import FLOWS
from backup.objects.resource import Resource
from backup.objects.variables import VARIABLES
from backup.objects.work_pools import WORK_POOLS
from backup.objects.work_queues import WORK_QUEUES

RESOURCES: tuple[Resource, ...] = (
    BLOCK_TYPES,
    BLOCK_SCHEMAS,
    BLOCK_DOCUMENTS,
    WORK_POOLS,
    WORK_QUEUES,
    FLOWS,
    TAG_LIMITS,
    CONCURRENCY_LIMITS,
    DEPLOYMENTS,
    VARIABLES,
    AUTOMATIONS,
)

NOT_THERE = frozenset({403, 404, 405})
"""How a server answers for what it does not have, or what the plan or the key does not include."""
