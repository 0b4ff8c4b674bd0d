resource "azurerm_user_assigned_identity" "encryption" {
  name                = "id-medai-flow-postgresql"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_role_assignment" "encryption" {
  scope                            = var.encryption_vault_id
  role_definition_name             = "Key Vault Crypto Service Encryption User"
  principal_id                     = azurerm_user_assigned_identity.encryption.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# implements: REQ-DEP-019
resource "azurerm_postgresql_flexible_server" "this" {
  name                          = "psql-medai-flow-${substr(sha256(var.subnet_id), 0, 8)}"
  resource_group_name           = var.resource_group_name
  location                      = var.location
  version                       = "17"
  sku_name                      = var.size
  storage_mb                    = var.storage_mb
  auto_grow_enabled             = true
  zone                          = "1"
  delegated_subnet_id           = var.subnet_id
  private_dns_zone_id           = var.dns_zone_id
  public_network_access_enabled = false
  backup_retention_days         = 35
  geo_redundant_backup_enabled  = false # a copy in another region needs a key of its own there: docs/operations.md
  tags                          = var.tags
  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = var.tenant_id
  }
  # The standby is synchronous: what was acknowledged survives the loss of a zone.
  high_availability {
    mode                      = "ZoneRedundant"
    standby_availability_zone = "2"
  }
  customer_managed_key {
    key_vault_key_id                  = var.encryption_key_id
    primary_user_assigned_identity_id = azurerm_user_assigned_identity.encryption.id
  }
  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.encryption.id]
  }
  maintenance_window {
    day_of_week  = 0
    start_hour   = 2
    start_minute = 0
  }
  lifecycle {
    prevent_destroy = true
    ignore_changes  = [zone, high_availability[0].standby_availability_zone] # they swap at a failover
  }
  depends_on = [azurerm_role_assignment.encryption]
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "this" {
  server_name         = azurerm_postgresql_flexible_server.this.name
  resource_group_name = var.resource_group_name
  tenant_id           = var.tenant_id
  object_id           = var.admin.object_id
  principal_name      = var.admin.name
  principal_type      = var.admin.type
}

resource "azurerm_postgresql_flexible_server_database" "this" {
  name      = "medai"
  server_id = azurerm_postgresql_flexible_server.this.id
  charset   = "UTF8"
  collation = "C"
  lifecycle {
    prevent_destroy = true
  }
}

# Every value is a string to Azure; they are set one after the other.
resource "azurerm_postgresql_flexible_server_configuration" "this" {
  for_each = {
    "azure.extensions"           = "PGAUDIT"
    "shared_preload_libraries"   = "pgaudit"
    "pgaudit.log"                = "ddl,role,write"
    "pgaudit.log_parameter"      = "off" # records hold no patient data, and a log of them would be a second ledger
    "require_secure_transport"   = "on"
    "ssl_min_protocol_version"   = "TLSv1.3"
    "log_connections"            = "on"
    "log_disconnections"         = "on"
    "connection_throttle.enable" = "on"
    "synchronous_commit"         = "on"
  }
  name      = each.key
  server_id = azurerm_postgresql_flexible_server.this.id
  value     = each.value
}

resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "all"
  target_resource_id         = azurerm_postgresql_flexible_server.this.id
  log_analytics_workspace_id = var.workspace_id
  enabled_log {
    category_group = "allLogs"
  }
  enabled_metric {
    category = "AllMetrics"
  }
}

resource "azurerm_monitor_metric_alert" "this" {
  for_each = {
    is_db_alive        = { below = 1, what = "PostgreSQL does not answer: no finding is released meanwhile." }
    storage_percent    = { above = 80, what = "Storage is 80 % full: it grows by itself, but say how far it may." }
    cpu_percent        = { above = 85, what = "PostgreSQL is short of processors: appends wait for each other." }
    active_connections = { above = 400, what = "More connections than the pods should hold." }
  }
  name                = "postgresql-${replace(each.key, "_", "-")}"
  resource_group_name = var.resource_group_name
  scopes              = [azurerm_postgresql_flexible_server.this.id]
  description         = each.value.what
  severity            = can(each.value.below) ? 0 : 2
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags
  criteria {
    metric_namespace = "Microsoft.DBforPostgreSQL/flexibleServers"
    metric_name      = each.key
    aggregation      = "Average"
    operator         = can(each.value.below) ? "LessThan" : "GreaterThan"
    threshold        = try(each.value.below, each.value.above)
  }
  action {
    action_group_id = var.alert_action_group
  }
}
