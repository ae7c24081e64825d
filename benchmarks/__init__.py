"""Speed and quality, side by side with other libraries. Run with `make bench` on a machine that does nothing else."""
