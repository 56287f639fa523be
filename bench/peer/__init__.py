"""What runs inside the measured processes, one module each; nothing else of the bench but ``bench.child`` is loaded."""
