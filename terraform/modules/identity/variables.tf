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

variable "oidc_issuer_url" {
  description = "The cluster's issuer of workload tokens."
  type        = string
}
