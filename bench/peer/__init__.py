"""What runs inside the environments of the peers, with nothing of the project but ``bench.child``."""
