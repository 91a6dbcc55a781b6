"""What the SDK's tests import of its repository's test tools, for an account with a key."""
