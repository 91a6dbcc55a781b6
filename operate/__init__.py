"""Commands for operators, who run them with the app's settings and their own identity."""
