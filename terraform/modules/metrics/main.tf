# Azure's managed Prometheus, and the very rules of deploy/observability/rules: no second copy of any of them.
locals {
  rules  = "${path.module}/../../../deploy/observability/rules"
  groups = { for group in flatten([for name in fileset(local.rules, "*.yaml") : yamldecode(file("${local.rules}/${name}")).groups]) : group.name => group }

  # Azure's five, from critical to verbose: who is woken is told of an error, a ticket is of information.
  severities = { page = 1, ticket = 3 }
}

# Metrics hold counts and no patient. Who asks has a role at the workspace and a token of Entra ID: there is no key.
resource "azurerm_monitor_workspace" "this" {
  name                          = "amw-medai-flow"
  resource_group_name           = var.resource_group_name
  location                      = var.location
  public_network_access_enabled = true # as Log Analytics': a private one needs a link scope around both
  tags                          = var.tags
}

resource "azurerm_monitor_data_collection_endpoint" "this" {
  name                = "dce-medai-flow"
  resource_group_name = var.resource_group_name
  location            = var.location
  kind                = "Linux"
  tags                = var.tags
}

# What the cluster's collector scrapes goes to the workspace.
resource "azurerm_monitor_data_collection_rule" "this" {
  name                        = "dcr-medai-flow-prometheus"
  resource_group_name         = var.resource_group_name
  location                    = var.location
  kind                        = "Linux"
  data_collection_endpoint_id = azurerm_monitor_data_collection_endpoint.this.id
  tags                        = var.tags
  data_sources {
    prometheus_forwarder {
      name    = "prometheus"
      streams = ["Microsoft-PrometheusMetrics"]
    }
  }
  destinations {
    monitor_account {
      name               = "workspace"
      monitor_account_id = azurerm_monitor_workspace.this.id
    }
  }
  data_flow {
    streams      = ["Microsoft-PrometheusMetrics"]
    destinations = ["workspace"]
  }
}

resource "azurerm_monitor_data_collection_rule_association" "this" {
  name                    = "dcra-medai-flow-prometheus"
  target_resource_id      = var.cluster_id
  data_collection_rule_id = azurerm_monitor_data_collection_rule.this.id
}

# One cluster, one workspace: no cluster_name, which would look for its label on what rules record as well.
# implements: REQ-DEP-019
resource "azurerm_monitor_alert_prometheus_rule_group" "this" {
  for_each            = local.groups
  name                = each.key
  resource_group_name = var.resource_group_name
  location            = var.location
  interval            = "PT${upper(each.value.interval)}"
  rule_group_enabled  = true
  scopes              = [azurerm_monitor_workspace.this.id]
  tags                = var.tags
  dynamic "rule" {
    for_each = each.value.rules
    content {
      enabled     = true
      alert       = try(rule.value.alert, null)
      record      = try(rule.value.record, null)
      expression  = trimspace(rule.value.expr)
      for         = try("PT${upper(rule.value.for)}", null)
      severity    = try(local.severities[rule.value.labels.severity], null)
      labels      = try(rule.value.labels, null)
      annotations = try(rule.value.annotations, null)
      dynamic "action" {
        for_each = can(rule.value.alert) ? [var.alert_action_group] : []
        content {
          action_group_id = action.value
        }
      }
      dynamic "alert_resolution" {
        for_each = can(rule.value.alert) ? ["PT5M"] : []
        content {
          auto_resolved   = true
          time_to_resolve = alert_resolution.value
        }
      }
    }
  }
}
