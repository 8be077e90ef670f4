"""What a workspace is made of: a table a file."""
