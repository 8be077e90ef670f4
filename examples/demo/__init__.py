"""A whole Prefect installation on one machine, for people to look at and for tests to break.

``processes`` and ``sandbox`` start programs so that none outlives its owner; ``prefect_server``,
``postgres``, ``prometheus``, ``alertmanager``, ``exporter`` and ``worker`` each start one part;
``flows``, ``deployments`` and ``driver`` give the parts something to do.
"""
