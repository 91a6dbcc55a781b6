"""What is deployed to Azure, and what proves it without Azure."""
