"""Ratios of what this project costs against named peers, measured side by side in one run. See docs/performance.md."""
