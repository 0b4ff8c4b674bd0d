# implements: REQ-DEP-019
resource "azurerm_container_registry" "this" {
  name                          = "medaiflowacr"
  resource_group_name           = var.resource_group_name
  location                      = var.location
  sku                           = "Premium" # private endpoints, zones and retention are Premium's
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = false
  network_rule_bypass_option    = "None"
  zone_redundancy_enabled       = true
  data_endpoint_enabled         = true
  retention_policy_in_days      = 30
  export_policy_enabled         = false
  quarantine_policy_enabled     = false
  tags                          = var.tags
}

resource "azurerm_private_endpoint" "this" {
  name                = "pe-registry"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.subnet_id
  tags                = var.tags
  private_service_connection {
    name                           = "registry"
    private_connection_resource_id = azurerm_container_registry.this.id
    subresource_names              = ["registry"]
    is_manual_connection           = false
  }
  private_dns_zone_group {
    name                 = "registry"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "all"
  target_resource_id         = azurerm_container_registry.this.id
  log_analytics_workspace_id = var.workspace_id
  enabled_log {
    category_group = "allLogs"
  }
  enabled_metric {
    category = "AllMetrics"
  }
}
