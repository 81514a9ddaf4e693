"""The benchmark jobs, one module each: NAME, DESCRIPTION and run(harness)."""
