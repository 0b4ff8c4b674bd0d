output "container_url" {
  description = "The container of checkpoints."
  value       = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.checkpoints.name}"
}

output "locked" {
  description = "Whether its policy is locked for ever."
  value       = azurerm_storage_container_immutability_policy.checkpoints.locked
}
