# One identity for each thing that runs, federated with its ServiceAccount alone: no secret, and nothing to rotate.
locals {
  workloads = {
    service   = "system:serviceaccount:medai-flow:medai-flow"
    migration = "system:serviceaccount:medai-flow:medai-flow-migration"
  }
}

resource "azurerm_user_assigned_identity" "this" {
  for_each            = local.workloads
  name                = "id-medai-flow-${each.key}"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "this" {
  for_each            = local.workloads
  name                = "aks-${each.key}"
  resource_group_name = var.resource_group_name
  parent_id           = azurerm_user_assigned_identity.this[each.key].id
  issuer              = var.oidc_issuer_url
  subject             = each.value
  audience            = ["api://AzureADTokenExchange"]
}
