"""Benchmarks: what they measure and the last figures are in README.md beside this file."""
