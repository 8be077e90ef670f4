"""A web service that starts deployments, and how to drive jobs of systems outside of Prefect."""
