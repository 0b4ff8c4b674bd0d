output "service_client_id" {
  description = "For the service's ServiceAccount."
  value       = azurerm_user_assigned_identity.this["service"].client_id
}

output "migration_client_id" {
  description = "For the migration job's ServiceAccount."
  value       = azurerm_user_assigned_identity.this["migration"].client_id
}

output "service_principal_id" {
  description = "Who writes checkpoints, and whose roles the writer and the reader of the database are."
  value       = azurerm_user_assigned_identity.this["service"].principal_id
}

output "migration_principal_id" {
  description = "Whose role the migration's login is."
  value       = azurerm_user_assigned_identity.this["migration"].principal_id
}

output "vault_readers" {
  description = "Who may read secrets: the service alone. The migration job needs none."
  value       = { service = azurerm_user_assigned_identity.this["service"].principal_id }
}
