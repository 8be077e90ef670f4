"""How long things take, wait, and take again: what the performance section and its checks share."""
