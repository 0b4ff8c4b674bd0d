variable "resource_group_name" {
  description = "The resource group."
  type        = string
}

variable "location" {
  description = "The region."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

variable "tenant_id" {
  description = "The Entra tenant."
  type        = string
}

variable "subnet_id" {
  description = "The delegated subnet."
  type        = string
}

variable "dns_zone_id" {
  description = "The private zone."
  type        = string
}

variable "workspace_id" {
  description = "Where diagnostics go."
  type        = string
}

variable "size" {
  description = "The SKU."
  type        = string
}

variable "storage_mb" {
  description = "Storage in MiB."
  type        = number
}

variable "encryption_key_id" {
  description = "The versionless id of the key that data are encrypted with."
  type        = string
}

variable "encryption_vault_id" {
  description = "The vault of that key."
  type        = string
}

variable "alert_action_group" {
  description = "Who is told."
  type        = string
}

variable "admin" {
  description = "The Entra administrator."
  type        = object({ object_id = string, name = string, type = string })
}
