"""What has not failed yet: late starts, runs without an end, deployments without an owner."""
