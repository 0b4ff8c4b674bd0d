# implements: REQ-DEP-019
resource "azurerm_key_vault" "this" {
  name                          = "kv-medai-flow-${substr(sha256(var.resource_group_id), 0, 8)}"
  resource_group_name           = var.resource_group_name
  location                      = var.location
  tenant_id                     = var.tenant_id
  sku_name                      = "premium" # keys in hardware
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = false
  tags                          = var.tags
  network_acls {
    default_action = "Deny"
    bypass         = "AzureServices" # PostgreSQL and the disks wrap their keys through it
  }
}

resource "azurerm_role_assignment" "reader" {
  for_each                         = var.reader_principals
  scope                            = azurerm_key_vault.this.id
  role_definition_name             = "Key Vault Secrets User"
  principal_id                     = each.value
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# What PostgreSQL's data are encrypted with. It rotates by itself; old versions go on opening what they closed.
resource "azurerm_key_vault_key" "database" {
  name            = "postgresql-data"
  key_vault_id    = azurerm_key_vault.this.id
  key_type        = "RSA-HSM"
  key_size        = 3072
  key_opts        = ["unwrapKey", "wrapKey"]
  expiration_date = null # an expired key makes the database unreadable: rotation bounds its age instead
  rotation_policy {
    automatic {
      time_after_creation = "P180D"
    }
    expire_after         = "P2Y"
    notify_before_expiry = "P60D"
  }
  tags       = var.tags
  depends_on = [azurerm_private_endpoint.this]
}

resource "azurerm_private_endpoint" "this" {
  name                = "pe-vault"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.subnet_id
  tags                = var.tags
  private_service_connection {
    name                           = "vault"
    private_connection_resource_id = azurerm_key_vault.this.id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }
  private_dns_zone_group {
    name                 = "vault"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "all"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = var.workspace_id
  enabled_log {
    category_group = "allLogs"
  }
  enabled_metric {
    category = "AllMetrics"
  }
}

resource "azurerm_monitor_metric_alert" "availability" {
  name                = "vault-availability"
  resource_group_name = var.resource_group_name
  scopes              = [azurerm_key_vault.this.id]
  description         = "The vault refuses or fails: a pod that starts now gets no key."
  severity            = 1
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags
  criteria {
    metric_namespace = "Microsoft.KeyVault/vaults"
    metric_name      = "Availability"
    aggregation      = "Average"
    operator         = "LessThan"
    threshold        = 99
  }
  action {
    action_group_id = var.alert_action_group
  }
}
