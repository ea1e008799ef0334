"""The DynamoDB store: one table, one transaction a move."""
