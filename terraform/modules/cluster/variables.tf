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

variable "kubernetes_version" {
  description = "Minor version."
  type        = string
}

variable "node_size" {
  description = "Size of serving nodes."
  type        = string
}

variable "subnet_id" {
  description = "The subnet of nodes."
  type        = string
}

variable "virtual_network_id" {
  description = "The network."
  type        = string
}

variable "dns_zone_id" {
  description = "The private zone of the API server."
  type        = string
}

variable "workspace_id" {
  description = "Where diagnostics go."
  type        = string
}

variable "registry_id" {
  description = "The registry that nodes pull from."
  type        = string
}

variable "alert_action_group" {
  description = "Who is told."
  type        = string
}

variable "admin_group_object_ids" {
  description = "Groups that administer the cluster."
  type        = list(string)
}

variable "node_count" {
  description = "Fewest and most serving nodes."
  type        = object({ min = number, max = number })
}
