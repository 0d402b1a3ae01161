"""What ``benchmarks/recording.py`` measures with: each measurement runs in a child process of its own."""
