output "name" {
  description = "The cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "oidc_issuer_url" {
  description = "Who issues workloads' tokens."
  value       = azurerm_kubernetes_cluster.this.oidc_issuer_url
}

output "id" {
  description = "The cluster."
  value       = azurerm_kubernetes_cluster.this.id
}
