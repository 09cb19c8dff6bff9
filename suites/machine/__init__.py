"""What this process may use and what it runs on: cores, memory limits, software versions, and GPU throttling."""
