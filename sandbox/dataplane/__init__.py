"""What answers the instances on one machine: vault, metadata service, storage, and services."""
