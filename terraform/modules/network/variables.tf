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

variable "address_space" {
  description = "The network's addresses."
  type        = string
}

variable "workspace_id" {
  description = "Where diagnostics go."
  type        = string
}
