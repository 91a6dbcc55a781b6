"""The stores in Azure Cosmos DB."""
