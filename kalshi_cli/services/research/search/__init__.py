"""The search for parameters: ranges, time windows, studies, and the processes that run the trials."""
