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

variable "retention_days" {
  description = "How long logs are kept."
  type        = number
}

variable "alert_email" {
  description = "Where alerts go."
  type        = string
}

variable "resource_group_id" {
  description = "What the budget is over."
  type        = string
}

variable "monthly_budget" {
  description = "The month's budget."
  type        = number
}

variable "budget_start" {
  description = "First day of the first month."
  type        = string
}
