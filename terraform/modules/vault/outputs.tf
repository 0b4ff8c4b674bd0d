output "id" {
  description = "The vault."
  value       = azurerm_key_vault.this.id
}

output "uri" {
  description = "Its address."
  value       = azurerm_key_vault.this.vault_uri
}

output "database_key_id" {
  description = "Without a version, so that rotation is followed."
  value       = azurerm_key_vault_key.database.versionless_id
}

output "name" {
  description = "Its name."
  value       = azurerm_key_vault.this.name
}
