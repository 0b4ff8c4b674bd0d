output "id" {
  description = "The network."
  value       = azurerm_virtual_network.this.id
}

output "cluster_subnet_id" {
  description = "For nodes. Known once the way out is there."
  value       = azurerm_subnet_nat_gateway_association.cluster.subnet_id
}

output "database_subnet_id" {
  description = "Delegated to PostgreSQL."
  value       = azurerm_subnet.database.id
}

output "endpoints_subnet_id" {
  description = "For private endpoints."
  value       = azurerm_subnet.endpoints.id
}

output "dns_zone_ids" {
  description = "Private zones by registry, vault, blob, database, cluster; each linked to the network."
  value       = { for name, link in azurerm_private_dns_zone_virtual_network_link.this : name => azurerm_private_dns_zone.this[name].id }
}

output "database_cidr" {
  description = "The addresses of PostgreSQL's subnet."
  value       = azurerm_subnet.database.address_prefixes[0]
}

output "endpoints_cidr" {
  description = "The addresses of the private endpoints."
  value       = azurerm_subnet.endpoints.address_prefixes[0]
}
