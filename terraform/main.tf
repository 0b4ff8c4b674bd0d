locals {
  tags = {
    product     = "medai-flow"
    environment = var.environment
    managed_by  = "terraform"
  }
}

resource "azurerm_resource_group" "this" {
  name     = "rg-medai-flow"
  location = var.location
  tags     = local.tags
}

module "monitoring" {
  source              = "./modules/monitoring"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  retention_days      = var.log_retention_days
  alert_email         = var.alert_email
  resource_group_id   = azurerm_resource_group.this.id
  monthly_budget      = var.monthly_budget
  budget_start        = var.budget_start
}

module "network" {
  source              = "./modules/network"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  address_space       = var.address_space
  workspace_id        = module.monitoring.workspace_id
}

module "identity" {
  source              = "./modules/identity"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  oidc_issuer_url     = module.cluster.oidc_issuer_url
}

module "registry" {
  source              = "./modules/registry"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  subnet_id           = module.network.endpoints_subnet_id
  dns_zone_id         = module.network.dns_zone_ids["registry"]
  workspace_id        = module.monitoring.workspace_id
}

module "vault" {
  source              = "./modules/vault"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  resource_group_id   = azurerm_resource_group.this.id
  tenant_id           = var.tenant_id
  subnet_id           = module.network.endpoints_subnet_id
  dns_zone_id         = module.network.dns_zone_ids["vault"]
  workspace_id        = module.monitoring.workspace_id
  reader_principals   = module.identity.vault_readers
  alert_action_group  = module.monitoring.action_group_id
}

module "storage" {
  source              = "./modules/storage"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  resource_group_id   = azurerm_resource_group.this.id
  subnet_id           = module.network.endpoints_subnet_id
  dns_zone_id         = module.network.dns_zone_ids["blob"]
  workspace_id        = module.monitoring.workspace_id
  retention_days      = var.checkpoint_retention_days
  locked              = var.lock_checkpoint_retention && var.i_understand_that_locking_is_forever == "yes, forever"
  publisher_principal = module.identity.service_principal_id
}

module "database" {
  source              = "./modules/database"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  tenant_id           = var.tenant_id
  subnet_id           = module.network.database_subnet_id
  dns_zone_id         = module.network.dns_zone_ids["database"]
  workspace_id        = module.monitoring.workspace_id
  size                = var.database_size
  storage_mb          = var.database_storage_mb
  admin               = var.database_admin
  encryption_key_id   = module.vault.database_key_id
  encryption_vault_id = module.vault.id
  alert_action_group  = module.monitoring.action_group_id
}

module "cluster" {
  source                 = "./modules/cluster"
  resource_group_name    = azurerm_resource_group.this.name
  location               = var.location
  tags                   = local.tags
  tenant_id              = var.tenant_id
  admin_group_object_ids = var.admin_group_object_ids
  kubernetes_version     = var.kubernetes_version
  node_size              = var.node_size
  node_count             = var.node_count
  subnet_id              = module.network.cluster_subnet_id
  virtual_network_id     = module.network.id
  dns_zone_id            = module.network.dns_zone_ids["cluster"]
  workspace_id           = module.monitoring.workspace_id
  registry_id            = module.registry.id
  alert_action_group     = module.monitoring.action_group_id
}

module "metrics" {
  source              = "./modules/metrics"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  cluster_id          = module.cluster.id
  alert_action_group  = module.monitoring.action_group_id
}

module "pipeline" {
  source              = "./modules/pipeline"
  resource_group_name = azurerm_resource_group.this.name
  location            = var.location
  tags                = local.tags
  environment         = var.environment
  repository          = var.pipeline_repository
  registry_id         = module.registry.id
  cluster_id          = module.cluster.id
}

check "locking_is_said_twice" {
  assert {
    condition     = !var.lock_checkpoint_retention || var.i_understand_that_locking_is_forever == "yes, forever"
    error_message = "lock_checkpoint_retention is true, but i_understand_that_locking_is_forever is not \"yes, forever\": the policy stays unlocked."
  }
}
