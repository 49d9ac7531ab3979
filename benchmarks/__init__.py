"""Side-by-side timings. Each is a ratio measured in one process, never a test."""
