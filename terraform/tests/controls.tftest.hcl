# Every control that the design names, held by its own assertion. `plan` needs no cloud; values that only Azure knows stay unknown.
# The provider is mocked: its schema and its own validation of each argument hold, and nobody has to sign in anywhere.
mock_provider "azurerm" {}

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
  pipeline_repository    = { owner = "hospital", owner_id = 123456, name = "medai-flow", id = 456789 }

  # What modules are given by each other.
  resource_group_name = "rg-medai-flow"
  tags                = {}
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.Network/virtualNetworks/vnet-medai-flow/subnets/snet-endpoints"
  virtual_network_id  = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.Network/virtualNetworks/vnet-medai-flow"
  dns_zone_id         = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.Network/privateDnsZones/privatelink.example.org"
  workspace_id        = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.OperationalInsights/workspaces/log-medai-flow"
  registry_id         = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.ContainerRegistry/registries/medaiflowacr"
  alert_action_group  = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.Insights/actionGroups/ag-medai-flow"
  resource_group_id   = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow"
  encryption_key_id   = "https://kv-medai-flow.vault.azure.net/keys/postgresql-data"
  encryption_vault_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.KeyVault/vaults/kv-medai-flow"
  publisher_principal = "00000000-0000-0000-0000-000000000005"
  cluster_id          = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.ContainerService/managedClusters/medai-aks-cluster"
}

run "the_registry_is_private_and_has_no_admin_user" {
  command = plan
  module {
    source = "./modules/registry"
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
  assert {
    condition     = azurerm_private_endpoint.this.subnet_id == var.subnet_id && azurerm_private_endpoint.this.private_dns_zone_group[0].private_dns_zone_ids == tolist([var.dns_zone_id])
    error_message = "It has a private endpoint, and its name leads there."
  }
  assert {
    condition     = azurerm_private_endpoint.this.private_service_connection[0].subresource_names == tolist(["registry"]) && !azurerm_private_endpoint.this.private_service_connection[0].is_manual_connection
    error_message = "The endpoint is of this service."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.this.log_analytics_workspace_id == var.workspace_id && length(azurerm_monitor_diagnostic_setting.this.enabled_log) > 0 && length(azurerm_monitor_diagnostic_setting.this.enabled_metric) == 1
    error_message = "Its logs and metrics go to Log Analytics."
  }
  assert {
    condition     = azurerm_container_registry.this.network_rule_bypass_option == "None" && !azurerm_container_registry.this.export_policy_enabled
    error_message = "No way around the network, and none out of it."
  }
  assert {
    condition     = azurerm_container_registry.this.zone_redundancy_enabled
    error_message = "It survives the loss of a zone."
  }
}

run "the_cluster_is_private_and_knows_no_local_account" {
  command = plan
  module {
    source = "./modules/cluster"
  }
  variables {
    kubernetes_version = "1.33"
    node_size          = "Standard_D8ds_v5"
    node_count         = { min = 3, max = 9 }
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
    condition     = length(azurerm_kubernetes_cluster.this.monitor_metrics) == 1
    error_message = "Metrics are collected."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.key_vault_secrets_provider[0].secret_rotation_enabled
    error_message = "Mounted secrets follow the vault."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.role_based_access_control_enabled && azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].tenant_id == var.tenant_id && azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].admin_group_object_ids == var.admin_group_object_ids
    error_message = "Its administrators are the groups that were given, of this tenant."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.private_dns_zone_id == var.dns_zone_id
    error_message = "Its name is in our own private zone."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].vnet_subnet_id == var.subnet_id && !azurerm_kubernetes_cluster.this.default_node_pool[0].node_public_ip_enabled && !azurerm_kubernetes_cluster_node_pool.serving.node_public_ip_enabled
    error_message = "No node has a public address."
  }
  assert {
    condition     = length(azurerm_kubernetes_cluster.this.default_node_pool[0].zones) == 3
    error_message = "The system pool is in three zones."
  }
  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.serving.mode == "User" && azurerm_kubernetes_cluster_node_pool.serving.node_labels["medai-flow/role"] == "serving"
    error_message = "There is a pool for the service, and the manifests choose it."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].host_encryption_enabled && azurerm_kubernetes_cluster_node_pool.serving.host_encryption_enabled
    error_message = "Disks of nodes are encrypted on their hosts."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.node_os_upgrade_channel == "NodeImage" && azurerm_kubernetes_cluster.this.maintenance_window_auto_upgrade[0].duration >= 4 && azurerm_kubernetes_cluster.this.maintenance_window_node_os[0].day_of_week != azurerm_kubernetes_cluster.this.maintenance_window_auto_upgrade[0].day_of_week
    error_message = "Nodes are renewed each week, on another day than the cluster."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.image_cleaner_interval_hours == 168
    error_message = "Images that nobody uses are gone within a week."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.microsoft_defender[0].log_analytics_workspace_id == var.workspace_id
    error_message = "Defender tells the workspace."
  }
  assert {
    condition     = azurerm_kubernetes_cluster.this.identity[0].type == "UserAssigned"
    error_message = "The control plane acts under an identity of ours."
  }
  assert {
    condition     = { for name, one in azurerm_role_assignment.control_plane : name => one.role_definition_name } == { network = "Network Contributor", dns = "Private DNS Zone Contributor", kubelet = "Managed Identity Operator" }
    error_message = "The control plane may do three things, each on one resource."
  }
  assert {
    condition     = azurerm_role_assignment.pull.role_definition_name == "AcrPull" && azurerm_role_assignment.pull.scope == var.registry_id
    error_message = "Nodes may pull from the registry, and nothing else."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.this.log_analytics_workspace_id == var.workspace_id && length(azurerm_monitor_diagnostic_setting.this.enabled_log) > 0 && length(azurerm_monitor_diagnostic_setting.this.enabled_metric) == 1
    error_message = "Its logs and metrics go to Log Analytics."
  }
  assert {
    condition     = length(azurerm_monitor_metric_alert.nodes.action) == 1
    error_message = "Somebody is told of a node that is not ready."
  }
}

run "the_database_is_private_synchronous_and_without_passwords" {
  command = plan
  module {
    source = "./modules/database"
  }
  variables {
    size       = "GP_Standard_D4ds_v5"
    storage_mb = 262144
    admin      = { object_id = "00000000-0000-0000-0000-000000000004", name = "dba", type = "Group" }
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.high_availability[0].mode == "ZoneRedundant"
    error_message = "What was acknowledged survives the loss of a zone."
  }
  assert {
    condition     = !azurerm_postgresql_flexible_server.this.public_network_access_enabled && azurerm_postgresql_flexible_server.this.delegated_subnet_id == var.subnet_id
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
    condition     = azurerm_postgresql_flexible_server.this.customer_managed_key[0].key_vault_key_id == var.encryption_key_id
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
  assert {
    condition     = azurerm_postgresql_flexible_server.this.private_dns_zone_id == var.dns_zone_id
    error_message = "Its name is in our own private zone."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.authentication[0].tenant_id == var.tenant_id && azurerm_postgresql_flexible_server_active_directory_administrator.this.principal_name == var.admin.name
    error_message = "Its administrator is the principal that was given, of this tenant."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.identity[0].type == "UserAssigned" && azurerm_role_assignment.encryption.role_definition_name == "Key Vault Crypto Service Encryption User" && azurerm_role_assignment.encryption.scope == var.encryption_vault_id
    error_message = "It may wrap and unwrap with its key, and nothing else."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.this.high_availability[0].standby_availability_zone != azurerm_postgresql_flexible_server.this.zone
    error_message = "The standby is in another zone."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server_configuration.this["synchronous_commit"].value == "on" && azurerm_postgresql_flexible_server_configuration.this["pgaudit.log"].value == "ddl,role,write"
    error_message = "Commits wait for the standby; what changes the schema, rights or rows is on record outside of the database."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.this.log_analytics_workspace_id == var.workspace_id && length(azurerm_monitor_diagnostic_setting.this.enabled_log) > 0 && length(azurerm_monitor_diagnostic_setting.this.enabled_metric) == 1
    error_message = "Its logs and metrics go to Log Analytics."
  }
  assert {
    condition     = toset(keys(azurerm_monitor_metric_alert.this)) == toset(["is_db_alive", "storage_percent", "cpu_percent", "active_connections"]) && alltrue([for one in azurerm_monitor_metric_alert.this : length(one.action) == 1])
    error_message = "Somebody is told when it is down, full or overrun."
  }
  assert {
    condition     = azurerm_monitor_metric_alert.this["is_db_alive"].criteria[0].operator == "LessThan" && azurerm_monitor_metric_alert.this["is_db_alive"].severity == 0
    error_message = "Down is what is told first."
  }
}

run "the_vault_cannot_be_emptied" {
  command = plan
  module {
    source = "./modules/vault"
  }
  variables {
    reader_principals = { service = "00000000-0000-0000-0000-000000000006" }
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
  assert {
    condition     = azurerm_private_endpoint.this.subnet_id == var.subnet_id && azurerm_private_endpoint.this.private_dns_zone_group[0].private_dns_zone_ids == tolist([var.dns_zone_id])
    error_message = "It has a private endpoint, and its name leads there."
  }
  assert {
    condition     = azurerm_private_endpoint.this.private_service_connection[0].subresource_names == tolist(["vault"]) && !azurerm_private_endpoint.this.private_service_connection[0].is_manual_connection
    error_message = "The endpoint is of this service."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.this.log_analytics_workspace_id == var.workspace_id && length(azurerm_monitor_diagnostic_setting.this.enabled_log) > 0 && length(azurerm_monitor_diagnostic_setting.this.enabled_metric) == 1
    error_message = "Its logs and metrics go to Log Analytics."
  }
  assert {
    condition     = azurerm_key_vault_key.database.key_type == "RSA-HSM" && length(azurerm_key_vault_key.database.rotation_policy[0].automatic) == 1
    error_message = "The database's key is in hardware and rotates by itself."
  }
  assert {
    condition     = toset(azurerm_key_vault_key.database.key_opts) == toset(["wrapKey", "unwrapKey"])
    error_message = "The key wraps other keys, and does nothing else."
  }
  assert {
    condition     = azurerm_key_vault.this.tenant_id == var.tenant_id
    error_message = "It is of this tenant."
  }
  assert {
    condition     = length(azurerm_monitor_metric_alert.availability.action) == 1
    error_message = "Somebody is told when it does not answer."
  }
}

run "checkpoints_are_kept_from_everybody" {
  command = plan
  module {
    source = "./modules/storage"
  }
  variables {
    retention_days = 2192
    locked         = false
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
  assert {
    condition     = azurerm_private_endpoint.this.subnet_id == var.subnet_id && azurerm_private_endpoint.this.private_dns_zone_group[0].private_dns_zone_ids == tolist([var.dns_zone_id])
    error_message = "It has a private endpoint, and its name leads there."
  }
  assert {
    condition     = azurerm_private_endpoint.this.private_service_connection[0].subresource_names == tolist(["blob"]) && !azurerm_private_endpoint.this.private_service_connection[0].is_manual_connection
    error_message = "The endpoint is of this service."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.this.log_analytics_workspace_id == var.workspace_id && length(azurerm_monitor_diagnostic_setting.this.enabled_log) > 0 && length(azurerm_monitor_diagnostic_setting.this.enabled_metric) == 1
    error_message = "Its logs and metrics go to Log Analytics."
  }
  assert {
    condition     = azurerm_storage_account.this.network_rules[0].default_action == "Deny" && azurerm_storage_account.this.min_tls_version == "TLS1_2" && azurerm_storage_account.this.https_traffic_only_enabled
    error_message = "It is reached over TLS from the network alone."
  }
  assert {
    condition     = azurerm_storage_account.this.account_replication_type == "GZRS" && azurerm_storage_account.this.infrastructure_encryption_enabled && !azurerm_storage_account.this.cross_tenant_replication_enabled
    error_message = "It survives a zone and a region, is encrypted twice, and is copied to no other tenant."
  }
  assert {
    condition     = azurerm_storage_container.checkpoints.container_access_type == "private"
    error_message = "The container is nobody else's to read."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.account.log_analytics_workspace_id == var.workspace_id
    error_message = "The account's own metrics go to Log Analytics."
  }
  assert {
    condition     = azurerm_role_assignment.publisher.principal_id == var.publisher_principal
    error_message = "One principal writes checkpoints."
  }
}

run "each_workload_has_an_identity_for_one_service_account" {
  command = plan
  module {
    source = "./modules/identity"
  }
  variables {
    oidc_issuer_url = "https://issuer.example.org/"
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
  assert {
    condition     = length(azurerm_user_assigned_identity.this) == 2 && length(azurerm_federated_identity_credential.this) == 2
    error_message = "There is an identity for each workload and none besides."
  }
  assert {
    condition     = alltrue([for one in azurerm_federated_identity_credential.this : one.issuer == var.oidc_issuer_url])
    error_message = "Only the cluster's own issuer is believed."
  }
  assert {
    condition     = keys(output.vault_readers) == ["service"]
    error_message = "The service alone reads the vault."
  }
}

run "the_pipeline_is_one_environment_of_one_repository" {
  command = plan
  module {
    source = "./modules/pipeline"
  }
  variables {
    repository = { owner = "hospital", owner_id = 123456, name = "medai-flow", id = 456789 }
    cluster_id = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-medai-flow/providers/Microsoft.ContainerService/managedClusters/medai-aks-cluster"
  }
  assert {
    condition     = { for name, one in azurerm_federated_identity_credential.this : name => one.subject } == { push = "repo:hospital@123456/medai-flow@456789:environment:registry", deploy = "repo:hospital@123456/medai-flow@456789:environment:production" }
    error_message = "Each identity is one environment's, by numbers that cannot be taken over."
  }
  assert {
    condition     = alltrue([for one in azurerm_federated_identity_credential.this : one.issuer == "https://token.actions.githubusercontent.com" && one.audience == tolist(["api://AzureADTokenExchange"])])
    error_message = "Only GitHub's issuer is believed, and only Entra ID's exchange takes its tokens."
  }
  assert {
    condition     = { for name, one in azurerm_role_assignment.this : name => one.role_definition_name } == { push = "AcrPush", verify = "AcrPull", cluster = "Azure Kubernetes Service Cluster User Role" }
    error_message = "One pushes; the other pulls and finds the cluster. Neither may do more."
  }
  assert {
    condition     = toset([for name, one in azurerm_role_assignment.this : one.scope]) == toset([var.registry_id, var.cluster_id])
    error_message = "Each on one resource."
  }
}

run "nothing_is_reached_from_the_internet" {
  command = plan
  module {
    source = "./modules/network"
  }
  variables {
    address_space = "10.60.0.0/16"
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
  assert {
    condition     = toset([for zone in azurerm_private_dns_zone.this : zone.name]) == toset(["privatelink.azurecr.io", "privatelink.vaultcore.azure.net", "privatelink.blob.core.windows.net", "medai-flow.private.postgres.database.azure.com", "privatelink.germanywestcentral.azmk8s.io"])
    error_message = "Each private endpoint has its zone."
  }
  assert {
    condition     = length(azurerm_private_dns_zone_virtual_network_link.this) == length(azurerm_private_dns_zone.this)
    error_message = "Each zone is known in the network."
  }
  assert {
    condition     = length(azurerm_subnet_network_security_group_association.this) == 3
    error_message = "Each subnet has its rules."
  }
  assert {
    condition     = azurerm_subnet.endpoints.private_endpoint_network_policies == "Enabled"
    error_message = "They hold for private endpoints as well."
  }
  assert {
    condition     = azurerm_monitor_diagnostic_setting.network.log_analytics_workspace_id == var.workspace_id && azurerm_monitor_diagnostic_setting.nat.log_analytics_workspace_id == var.workspace_id && length(azurerm_monitor_diagnostic_setting.groups) == 3
    error_message = "What the network does goes to Log Analytics."
  }
}

run "logs_are_kept_and_somebody_is_told" {
  command = plan
  module {
    source = "./modules/monitoring"
  }
  variables {
    retention_days = 180
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
  assert {
    condition     = azurerm_log_analytics_workspace.this.allow_resource_only_permissions && length(azurerm_monitor_diagnostic_setting.this.enabled_log) == 1
    error_message = "Who asked the logs for what is in them."
  }
  assert {
    condition     = one(azurerm_monitor_action_group.this.email_receiver).email_address == var.alert_email
    error_message = "Alerts go to the address that was given."
  }
  assert {
    condition     = toset(keys(azurerm_monitor_activity_log_alert.this)) == toset(["immutability", "vault", "roles", "database"])
    error_message = "Somebody is told of what touches the evidence."
  }
  assert {
    condition     = toset([for one in azurerm_consumption_budget_resource_group.this.notification : one.threshold]) == toset([80, 100])
    error_message = "The budget is told of before it is spent and when it is."
  }
}

run "every_rule_of_the_repository_watches_the_cluster" {
  command = plan
  module {
    source = "./modules/metrics"
  }
  assert {
    condition     = toset(keys(azurerm_monitor_alert_prometheus_rule_group.this)) == toset(flatten([for name in fileset("../deploy/observability/rules", "*.yaml") : yamldecode(file("../deploy/observability/rules/${name}")).groups[*].name]))
    error_message = "Each group of the files is a group of Azure, and there is none besides."
  }
  assert {
    condition     = length(azurerm_monitor_alert_prometheus_rule_group.this) >= 7 && length(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : group.rule[*].expression])) >= 49
    error_message = "The files were found, and their rules."
  }
  assert {
    condition     = toset(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : "${group.name} ${try(coalesce(rule.alert, rule.record), "")} ${rule.expression}"]])) == toset(flatten([for name in fileset("../deploy/observability/rules", "*.yaml") : [for group in yamldecode(file("../deploy/observability/rules/${name}")).groups : [for rule in group.rules : "${group.name} ${try(rule.alert, rule.record)} ${trimspace(rule.expr)}"]]]))
    error_message = "Each asks what its file asks, under its name and in its group."
  }
  assert {
    condition     = alltrue(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : (rule.alert == null) != (rule.record == null)]]))
    error_message = "A rule tells or records, and never both."
  }
  assert {
    condition     = alltrue(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : rule.alert == null ? length(rule.action) == 0 : rule.action[0].action_group_id == var.alert_action_group]]))
    error_message = "Of every alert somebody is told."
  }
  assert {
    condition     = alltrue(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : rule.alert == null ? true : rule.severity == (rule.labels.severity == "page" ? 1 : 3)]]))
    error_message = "What pages is an error, what makes a ticket is information."
  }
  assert {
    condition     = alltrue(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : rule.alert == null ? true : startswith(rule.annotations.runbook, "docs/operations.md#")]]))
    error_message = "Every alert says where it is written what to do."
  }
  assert {
    condition     = one([for rule in azurerm_monitor_alert_prometheus_rule_group.this["medai-service"].rule : rule.for if rule.alert == "MedaiFlood"]) == "PT10M"
    error_message = "How long it must last is as the file says, in Azure's form."
  }
  assert {
    condition     = alltrue([for group in azurerm_monitor_alert_prometheus_rule_group.this : group.rule_group_enabled && group.interval == "PT1M" && group.cluster_name == null])
    error_message = "All are asked each minute, of all that is in the workspace."
  }
  assert {
    condition     = alltrue(flatten([for group in azurerm_monitor_alert_prometheus_rule_group.this : [for rule in group.rule : rule.enabled]]))
    error_message = "None is switched off."
  }
  assert {
    condition     = azurerm_monitor_data_collection_rule_association.this.target_resource_id == var.cluster_id
    error_message = "What is collected is this cluster's."
  }
  assert {
    condition     = azurerm_monitor_data_collection_rule.this.data_flow[0].streams == tolist(["Microsoft-PrometheusMetrics"]) && azurerm_monitor_data_collection_rule.this.data_flow[0].destinations == tolist([azurerm_monitor_data_collection_rule.this.destinations[0].monitor_account[0].name])
    error_message = "It goes to the workspace."
  }
}

run "the_whole_can_be_planned" {
  command = plan
  assert {
    condition     = azurerm_resource_group.this.name == "rg-medai-flow"
    error_message = "The resource group is rg-medai-flow."
  }
  assert {
    condition     = azurerm_resource_group.this.tags["environment"] == var.environment
    error_message = "What it costs can be told by environment."
  }
  assert {
    condition     = output.checkpoint_policy_locked == false
    error_message = "Nothing is locked unless two variables say so."
  }
  assert {
    condition     = output.database_cidr == "10.60.16.0/24" && output.endpoints_cidr == "10.60.17.0/24"
    error_message = "The manifests are told which addresses to open."
  }
}

run "two_words_lock" {
  command = plan
  variables {
    lock_checkpoint_retention            = true
    i_understand_that_locking_is_forever = "yes, forever"
  }
  assert {
    condition     = output.checkpoint_policy_locked
    error_message = "The policy is locked once both say so."
  }
}

run "locking_needs_two_words" {
  command = plan
  variables {
    lock_checkpoint_retention = true
  }
  expect_failures = [check.locking_is_said_twice]
}
