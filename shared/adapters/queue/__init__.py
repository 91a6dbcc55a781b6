"""The job queue in Azure Queue Storage."""
