"""A server that answers chat requests in every documented dialect, so that the suite has something true to judge."""
