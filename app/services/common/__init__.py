"""What every use case shares: pages, cursors, ETags, locks, settings of the deployment, bulks."""
