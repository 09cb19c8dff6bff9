"""What this process may use and what it runs on: cores, memory limits, software, and what the GPU's driver tells."""
