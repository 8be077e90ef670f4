"""The flow `client-batch` as a worker finds it, in a process that halts at ``ORDER_MOMENT``."""

from __future__ import annotations

import os
import signal

from etl.batch import client_batch
from order_runs import Moment, Trap

__all__ = ["client_batch"]

Trap().set(Moment(os.environ["ORDER_MOMENT"]), signal.SIGSTOP)
