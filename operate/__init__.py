"""What operators run by hand, with the app's settings and their own identity."""
