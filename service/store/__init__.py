"""What lives outside the process: Redis, bundle directories, notes and locks."""
