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

variable "subnet_id" {
  description = "The subnet of private endpoints."
  type        = string
}

variable "dns_zone_id" {
  description = "The private zone of its name."
  type        = string
}

variable "workspace_id" {
  description = "Where diagnostics go."
  type        = string
}

variable "tenant_id" {
  description = "The Entra tenant."
  type        = string
}

variable "reader_principals" {
  description = "Principals that may read secrets, by a name for each."
  type        = map(string)
}

variable "resource_group_id" {
  description = "The group: part of the name, which is unique in all of Azure."
  type        = string
}

variable "alert_action_group" {
  description = "Who is told."
  type        = string
}
