resource "azurerm_log_analytics_workspace" "this" {
  name                            = "log-medai-flow"
  resource_group_name             = var.resource_group_name
  location                        = var.location
  sku                             = "PerGB2018"
  retention_in_days               = var.retention_days
  local_authentication_enabled    = false
  allow_resource_only_permissions = true
  tags                            = var.tags
}

resource "azurerm_monitor_action_group" "this" {
  name                = "ag-medai-flow"
  resource_group_name = var.resource_group_name
  short_name          = "medai"
  tags                = var.tags
  email_receiver {
    name                    = "operators"
    email_address           = var.alert_email
    use_common_alert_schema = true
  }
}

# Who changes the policy of the checkpoints, deletes a lock or a vault, or touches roles is told of at once.
resource "azurerm_monitor_activity_log_alert" "this" {
  for_each = {
    immutability = "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies/delete"
    vault        = "Microsoft.KeyVault/vaults/delete"
    roles        = "Microsoft.Authorization/roleAssignments/write"
    database     = "Microsoft.DBforPostgreSQL/flexibleServers/delete"
  }
  name                = "activity-${each.key}"
  resource_group_name = var.resource_group_name
  location            = "global"
  scopes              = [var.resource_group_id]
  description         = "${each.value} was asked for"
  tags                = var.tags
  criteria {
    category       = "Administrative"
    operation_name = each.value
  }
  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

resource "azurerm_consumption_budget_resource_group" "this" {
  name              = "budget-medai-flow"
  resource_group_id = var.resource_group_id
  amount            = var.monthly_budget
  time_grain        = "Monthly"
  time_period {
    start_date = var.budget_start
  }
  notification {
    operator       = "GreaterThan"
    threshold      = 80
    threshold_type = "Forecasted"
    contact_groups = [azurerm_monitor_action_group.this.id]
  }
  notification {
    operator       = "GreaterThan"
    threshold      = 100
    threshold_type = "Actual"
    contact_groups = [azurerm_monitor_action_group.this.id]
  }
}

# Who asked the logs for what.
resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "all"
  target_resource_id         = azurerm_log_analytics_workspace.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id
  enabled_log {
    category_group = "allLogs"
  }
  enabled_metric {
    category = "AllMetrics"
  }
}
