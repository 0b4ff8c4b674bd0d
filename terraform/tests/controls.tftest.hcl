# Every control that the design names, held by its own assertion. `plan` needs no cloud; values that only Azure knows stay unknown.
variables {
  subscription_id        = "00000000-0000-0000-0000-000000000001"
  tenant_id              = "00000000-0000-0000-0000-000000000002"
  location               = "germanywestcentral"
  environment            = "production"
  admin_group_object_ids = ["00000000-0000-0000-0000-000000000003"]
  database_admin         = { object_id = "00000000-0000-0000-0000-000000000004", name = "dba", type = "Group" }
  alert_email            = "operators@example.org"
  monthly_budget         = 5000
  budget_start           = "2027-01-01T00:00:00Z"
}

run "the_registry_is_private_and_has_no_admin_user" {
  command = plan
  module {
    source = "./modules/registry"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    tags                = {}
    subnet_id           = "subnet"
    dns_zone_id         = "zone"
    workspace_id        = "workspace"
  }
  assert {
    condition     = azurerm_container_registry.this.name == "medaiflowacr"
    error_message = "The registry is medaiflowacr."
  }
  assert {
    condition     = azurerm_container_registry.this.sku == "Premium"
    error_message = "Private endpoints need Premium."
  }
  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "No admin user and no anonymous pull."
  }
  assert {
    condition     = !azurerm_container_registry.this.public_network_access_enabled
    error_message = "The registry is reached through its private endpoint alone."
  }
}

run "the_cluster_is_private_and_knows_no_local_account" {
  command = plan
  module {
    source = "./modules/cluster"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    tags                = {}
    kubernetes_version  = "1.33"
    node_size           = "Standard_D8ds_v5"
    node_count          = { min = 3, max = 9 }
    subnet_id           = "subnet"
    virtual_network_id  = "network"
    dns_zone_id         = "zone"
    workspace_id        = "workspace"
    registry_id         = "registry"
    alert_action_group  = "group"
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.name == "medai-aks-cluster"
    error_message = "The cluster is medai-aks-cluster."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.private_cluster_enabled && !azurerm_kubernetes_cluster.this.private_cluster_public_fqdn_enabled
    error_message = "The API server has no public address and no public name."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.local_account_disabled && azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
    error_message = "People come in through Entra ID and Azure RBAC alone."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.workload_identity_enabled && azurerm_kubernetes_cluster.this.oidc_issuer_enabled
    error_message = "Workloads have identities, and no secret."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.azure_policy_enabled && azurerm_kubernetes_cluster.this.image_cleaner_enabled && length(azurerm_kubernetes_cluster.this.microsoft_defender) == 1
    error_message = "Azure Policy, the image cleaner and Defender are on."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.automatic_upgrade_channel == "patch" && length(azurerm_kubernetes_cluster.this.maintenance_window_auto_upgrade) == 1 && length(azurerm_kubernetes_cluster.this.maintenance_window_node_os) == 1
    error_message = "Patches come by themselves, in a maintenance window."
  }
  assert {
    condition     = !azurerm_kubernetes_cluster.this.run_command_enabled
    error_message = "No way around the private network (az aks command invoke)."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].only_critical_addons_enabled && azurerm_kubernetes_cluster.this.default_node_pool[0].os_disk_type == "Ephemeral"
    error_message = "The system pool runs nothing of ours, on ephemeral disks."
  }
  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.serving.os_disk_type == "Ephemeral" && length(azurerm_kubernetes_cluster_node_pool.serving.zones) == 3
    error_message = "The serving pool is on ephemeral disks in three zones."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.network_profile[0].network_policy == "cilium"
    error_message = "Network policies are enforced."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.key_vault_secrets_provider[0].secret_rotation_enabled
    error_message = "Mounted secrets follow the vault."
  }
}

run "the_database_is_private_synchronous_and_without_passwords" {
  command = plan
  module {
    source = "./modules/database"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    tags                = {}
    subnet_id           = "subnet"
    dns_zone_id         = "zone"
    workspace_id        = "workspace"
    size                = "GP_Standard_D4ds_v5"
    storage_mb          = 262144
    admin               = { object_id = "o", name = "dba", type = "Group" }
    encryption_key_id   = "key"
    encryption_vault_id = "vault"
    alert_action_group  = "group"
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.high_availability[0].mode == "ZoneRedundant"
    error_message = "What was acknowledged survives the loss of a zone."
  }
  assert {
    condition     = !azurerm_postgresql_flexible_server.this.public_network_access_enabled && azurerm_postgresql_flexible_server.this.delegated_subnet_id == "subnet"
    error_message = "The database is in the network and nowhere else."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.authentication[0].active_directory_auth_enabled && !azurerm_postgresql_flexible_server.this.authentication[0].password_auth_enabled
    error_message = "Entra ID alone: there is no password to steal."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.backup_retention_days == 35
    error_message = "Point in time recovery reaches back 35 days."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.customer_managed_key[0].key_vault_key_id == "key"
    error_message = "Data are encrypted with a key of our own."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server_configuration.this["shared_preload_libraries"].value == "pgaudit" && azurerm_postgresql_flexible_server_configuration.this["azure.extensions"].value == "PGAUDIT"
    error_message = "pgaudit is loaded."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server_configuration.this["pgaudit.log_parameter"].value == "off"
    error_message = "The values of statements are not logged."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server_configuration.this["require_secure_transport"].value == "on" && azurerm_postgresql_flexible_server_configuration.this["ssl_min_protocol_version"].value == "TLSv1.3"
    error_message = "TLS 1.3 is required."
  }
}

run "the_vault_cannot_be_emptied" {
  command = plan
  module {
    source = "./modules/vault"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    resource_group_id   = "group"
    tags                = {}
    subnet_id           = "subnet"
    dns_zone_id         = "zone"
    workspace_id        = "workspace"
    reader_principals   = { service = "principal" }
  }
  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.soft_delete_retention_days == 90
    error_message = "What is deleted can be had back for 90 days, by nobody's leave."
  }
  assert {
    condition     = azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "Access is by role, not by the vault's own policies."
  }
  assert {
    condition     = !azurerm_key_vault.this.public_network_access_enabled && azurerm_key_vault.this.network_acls[0].default_action == "Deny"
    error_message = "The vault is reached through its private endpoint alone."
  }
  assert {
    condition     = [for one in azurerm_role_assignment.reader : one.role_definition_name] == ["Key Vault Secrets User"]
    error_message = "The service may read secrets, and nothing else."
  }
}

run "checkpoints_are_kept_from_everybody" {
  command = plan
  module {
    source = "./modules/storage"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    resource_group_id   = "group"
    tags                = {}
    subnet_id           = "subnet"
    dns_zone_id         = "zone"
    workspace_id        = "workspace"
    retention_days      = 2192
    locked              = false
    publisher_principal = "principal"
  }
  assert {
    condition     = azurerm_storage_container_immutability_policy.checkpoints.immutability_period_in_days == 2192
    error_message = "A checkpoint stays for six years at least."
  }
  assert {
    condition     = !azurerm_storage_container_immutability_policy.checkpoints.locked
    error_message = "The policy is locked only where two variables say so."
  }
  assert {
    condition     = !azurerm_storage_container_immutability_policy.checkpoints.protected_append_writes_enabled && !azurerm_storage_container_immutability_policy.checkpoints.protected_append_writes_all_enabled
    error_message = "A blob is written once."
  }
  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.local_user_enabled
    error_message = "No account key and no local user: Entra ID alone."
  }
  assert {
    condition     = !azurerm_storage_account.this.public_network_access_enabled && !azurerm_storage_account.this.allow_nested_items_to_be_public
    error_message = "Nothing of it is public."
  }
  assert {
    condition     = alltrue([for action in concat(tolist(azurerm_role_definition.publisher.permissions[0].actions), tolist(azurerm_role_definition.publisher.permissions[0].data_actions)) : !strcontains(action, "delete")])
    error_message = "Whoever publishes may not delete."
  }
}

run "each_workload_has_an_identity_for_one_service_account" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    tags                = {}
    oidc_issuer_url     = "https://issuer.example.org/"
  }
  assert {
    condition     = azurerm_federated_identity_credential.this["service"].subject == "system:serviceaccount:medai-flow:medai-flow"
    error_message = "The service's identity is the service's account's."
  }
  assert {
    condition     = azurerm_federated_identity_credential.this["migration"].subject == "system:serviceaccount:medai-flow:medai-flow-migration"
    error_message = "The migration's identity is the job's account's."
  }
  assert {
    condition     = alltrue([for one in azurerm_federated_identity_credential.this : one.audience == tolist(["api://AzureADTokenExchange"])])
    error_message = "Only Entra ID's exchange takes these tokens."
  }
}

run "nothing_is_reached_from_the_internet" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    tags                = {}
    address_space       = "10.60.0.0/16"
  }
  assert {
    condition     = alltrue([for rule in azurerm_network_security_rule.nothing_from_outside : rule.access == "Deny" && rule.direction == "Inbound" && rule.source_address_prefix == "Internet"]) && length(azurerm_network_security_rule.nothing_from_outside) == 3
    error_message = "Each subnet refuses what comes from the internet."
  }
  assert {
    condition     = !azurerm_subnet.cluster.default_outbound_access_enabled && !azurerm_subnet.database.default_outbound_access_enabled && !azurerm_subnet.endpoints.default_outbound_access_enabled
    error_message = "There is one way out, and it is ours."
  }
  assert {
    condition     = [for service in azurerm_subnet.database.delegation[0].service_delegation : service.name] == ["Microsoft.DBforPostgreSQL/flexibleServers"]
    error_message = "The database's subnet is PostgreSQL's alone."
  }
}

run "logs_are_kept_and_somebody_is_told" {
  command = plan
  module {
    source = "./modules/monitoring"
  }
  variables {
    resource_group_name = "rg-medai-flow"
    resource_group_id   = "group"
    tags                = {}
    retention_days      = 180
  }
  assert {
    condition     = azurerm_log_analytics_workspace.this.retention_in_days == 180 && !azurerm_log_analytics_workspace.this.local_authentication_enabled
    error_message = "Logs are kept for 180 days and read by people of Entra ID."
  }
  assert {
    condition     = azurerm_consumption_budget_resource_group.this.amount == 5000 && azurerm_consumption_budget_resource_group.this.time_grain == "Monthly"
    error_message = "The month's budget is the one that was given."
  }
  assert {
    condition     = contains(keys(azurerm_monitor_activity_log_alert.this), "immutability")
    error_message = "Somebody is told when the checkpoints' policy is touched."
  }
}

run "the_whole_can_be_planned" {
  command = plan
  assert {
    condition     = azurerm_resource_group.this.name == "rg-medai-flow"
    error_message = "The resource group is rg-medai-flow."
  }
}

run "locking_needs_two_words" {
  command = plan
  variables {
    lock_checkpoint_retention = true
  }
  expect_failures = [check.locking_is_said_twice]
}
