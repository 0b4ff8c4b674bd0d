output "cluster_name" {
  description = "The AKS cluster."
  value       = module.cluster.name
}

output "registry_login_server" {
  description = "Where images are pushed and pulled."
  value       = module.registry.login_server
}

output "database_host" {
  description = "PostgreSQL's private name; connect with sslmode=verify-full and an Entra token."
  value       = module.database.host
}

output "vault_uri" {
  description = "The vault that settings may name (MEDAI_VAULT_URL)."
  value       = module.vault.uri
}

output "checkpoint_container_url" {
  description = "For MEDAI_ANCHOR_BLOB_URL."
  value       = module.storage.container_url
}

output "checkpoint_policy_locked" {
  description = "Whether the container's immutability policy can still be taken away."
  value       = module.storage.locked
}

output "service_client_id" {
  description = "Client id of the service's workload identity, for its ServiceAccount."
  value       = module.identity.service_client_id
}

output "migration_client_id" {
  description = "Client id of the migration job's workload identity."
  value       = module.identity.migration_client_id
}

output "service_principal_id" {
  description = "Object id of the service's identity: whose roles medai_writer and medai_reader are (deploy/README.md)."
  value       = module.identity.service_principal_id
}

output "migration_principal_id" {
  description = "Object id of the migration's identity: whose role medai_admin is."
  value       = module.identity.migration_principal_id
}

output "vault_name" {
  description = "VAULT_NAME of deploy/overlays/ENVIRONMENT/platform.env."
  value       = module.vault.name
}

output "database_cidr" {
  description = "DATABASE_CIDR there: what pods may reach of PostgreSQL's subnet."
  value       = module.network.database_cidr
}

output "endpoints_cidr" {
  description = "ENDPOINTS_CIDR there: the private endpoints."
  value       = module.network.endpoints_cidr
}

output "tenant_id" {
  description = "TENANT_ID there."
  value       = var.tenant_id
}

output "pipeline_client_ids" {
  description = "AZURE_CLIENT_ID of GitHub's environments: `push` of `registry`, `deploy` of this one."
  value       = module.pipeline.client_ids
}

output "metrics_query_endpoint" {
  description = "The data source of Grafana's dashboards (deploy/observability/dashboards)."
  value       = module.metrics.query_endpoint
}
