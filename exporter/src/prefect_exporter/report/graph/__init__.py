"""Who starts whom: subflows, runs of deployments, automations, and what these wait for."""
