"""What the benchmarks compute, apart from what they measure."""
