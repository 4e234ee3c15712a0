"""What has to be known of each library for a validation loss of its models."""
