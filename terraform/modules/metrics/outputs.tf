output "query_endpoint" {
  description = "Where dashboards ask."
  value       = azurerm_monitor_workspace.this.query_endpoint
}
