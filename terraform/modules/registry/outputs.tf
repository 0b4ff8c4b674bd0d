output "id" {
  description = "The registry."
  value       = azurerm_container_registry.this.id
}

output "login_server" {
  description = "Its name for docker and AKS."
  value       = azurerm_container_registry.this.login_server
}
