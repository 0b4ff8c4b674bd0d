output "host" {
  description = "The server's private name."
  value       = azurerm_postgresql_flexible_server.this.fqdn
}

output "id" {
  description = "The server."
  value       = azurerm_postgresql_flexible_server.this.id
}
