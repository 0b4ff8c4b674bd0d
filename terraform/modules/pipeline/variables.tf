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

variable "environment" {
  description = "The environment of GitHub that rolls out to this subscription."
  type        = string
}

variable "repository" {
  description = "The repository of the pipeline, with its numbers."
  type        = object({ owner = string, owner_id = number, name = string, id = number })
}

variable "registry_id" {
  description = "The registry."
  type        = string
}

variable "cluster_id" {
  description = "The cluster."
  type        = string
}
