"""The lake: recordings, prices and results as Parquet files, for research."""
