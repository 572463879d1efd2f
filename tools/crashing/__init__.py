"""The crash harness: real processes killed before and after every commit and every send (`make crash`)."""
