# Who the pipeline is in Azure: one identity that pushes, one that rolls out, no secret of either. Each is federated with one
# environment of one repository, by numbers that nobody can take over with a name (GitHub's immutable subjects).
locals {
  repository = "repo:${var.repository.owner}@${var.repository.owner_id}/${var.repository.name}@${var.repository.id}"
  environments = {
    push   = "registry"
    deploy = var.environment
  }
}

resource "azurerm_user_assigned_identity" "this" {
  for_each            = local.environments
  name                = "id-medai-flow-pipeline-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "this" {
  for_each            = local.environments
  name                = "github-${each.value}"
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.this[each.key].id
  issuer              = "https://token.actions.githubusercontent.com"
  subject             = "${local.repository}:environment:${each.value}"
  audience            = ["api://AzureADTokenExchange"]
}

# What each may do. Rights inside of the cluster are not among them: its administrators grant those (deploy/README.md).
resource "azurerm_role_assignment" "this" {
  for_each = {
    push    = { who = "push", scope = var.registry_id, role = "AcrPush" }
    verify  = { who = "deploy", scope = var.registry_id, role = "AcrPull" }
    cluster = { who = "deploy", scope = var.cluster_id, role = "Azure Kubernetes Service Cluster User Role" }
  }
  scope                            = each.value.scope
  role_definition_name             = each.value.role
  principal_id                     = azurerm_user_assigned_identity.this[each.value.who].principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}
