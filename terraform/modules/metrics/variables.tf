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

variable "cluster_id" {
  description = "The cluster whose collector scrapes."
  type        = string
}

variable "alert_action_group" {
  description = "Who is told."
  type        = string
}
