# Checkpoints, where the database's owner cannot reach: no key, no SAS, one writer, and a policy that keeps every blob.
# implements: REQ-DEP-019
resource "azurerm_storage_account" "this" {
  name                              = "medaiflow${substr(sha256(var.resource_group_id), 0, 12)}"
  resource_group_name               = var.resource_group_name
  location                          = var.location
  account_tier                      = "Standard"
  account_kind                      = "StorageV2"
  account_replication_type          = "GZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  public_network_access_enabled     = false
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  infrastructure_encryption_enabled = true
  allowed_copy_scope                = "PrivateLink"
  tags                              = var.tags
  blob_properties {
    versioning_enabled  = true
    change_feed_enabled = true
    delete_retention_policy {
      days = 90
    }
    container_delete_retention_policy {
      days = 90
    }
  }
  network_rules {
    default_action = "Deny"
    bypass         = ["None"]
  }
}

resource "azurerm_storage_container" "checkpoints" {
  name                  = "checkpoints"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

# implements: REQ-DEP-019
resource "azurerm_storage_container_immutability_policy" "checkpoints" {
  storage_container_resource_manager_id = azurerm_storage_container.checkpoints.id
  immutability_period_in_days           = var.retention_days
  protected_append_writes_enabled       = false
  protected_append_writes_all_enabled   = false
  locked                                = var.locked
}

# It may create blobs and read them and the policy back. It may not delete; the policy would refuse that anyway.
resource "azurerm_role_definition" "publisher" {
  name        = "medai-flow checkpoint publisher"
  scope       = azurerm_storage_account.this.id
  description = "Creates checkpoints and reads them and the container's policy; deletes nothing."
  permissions {
    actions = [
      "Microsoft.Storage/storageAccounts/blobServices/containers/read",
    ]
    data_actions = [
      "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
      "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
      "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
    ]
  }
  assignable_scopes = [azurerm_storage_account.this.id]
}

resource "azurerm_role_assignment" "publisher" {
  scope                            = azurerm_storage_container.checkpoints.id
  role_definition_id               = azurerm_role_definition.publisher.role_definition_resource_id
  principal_id                     = var.publisher_principal
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

resource "azurerm_private_endpoint" "this" {
  name                = "pe-blob"
  resource_group_name = var.resource_group_name
  location            = var.location
  subnet_id           = var.subnet_id
  tags                = var.tags
  private_service_connection {
    name                           = "blob"
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }
  private_dns_zone_group {
    name                 = "blob"
    private_dns_zone_ids = [var.dns_zone_id]
  }
}

resource "azurerm_monitor_diagnostic_setting" "account" {
  name                       = "all"
  target_resource_id         = azurerm_storage_account.this.id
  log_analytics_workspace_id = var.workspace_id
  enabled_metric {
    category = "AllMetrics"
  }
}

# Every blob that is read, written or asked to be deleted.
resource "azurerm_monitor_diagnostic_setting" "this" {
  name                       = "all"
  target_resource_id         = "${azurerm_storage_account.this.id}/blobServices/default"
  log_analytics_workspace_id = var.workspace_id
  enabled_log {
    category_group = "allLogs"
  }
  enabled_metric {
    category = "AllMetrics"
  }
}
