variable "subscription_id" {
  description = "The subscription that everything is made in."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "A subscription is named by its UUID, in lower case."
  }
}

variable "tenant_id" {
  description = "The Entra ID tenant of people and workloads."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.tenant_id))
    error_message = "A tenant is named by its UUID, in lower case."
  }
}

variable "location" {
  description = "The region. It must have three availability zones."
  type        = string
  validation {
    condition     = can(regex("^[a-z]+[a-z0-9]*$", var.location))
    error_message = "A region is named in its short form, for instance germanywestcentral."
  }
}

variable "environment" {
  description = "dev, staging or production. It is part of no name: each environment has a subscription of its own."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "The environment is dev, staging or production."
  }
}

variable "address_space" {
  description = "The virtual network's addresses, an IPv4 /16 to /20; subnets are cut from it."
  type        = string
  default     = "10.60.0.0/16"
  validation {
    condition     = can(cidrhost(var.address_space, 0)) && try(tonumber(split("/", var.address_space)[1]), 0) >= 16 && try(tonumber(split("/", var.address_space)[1]), 99) <= 20
    error_message = "An IPv4 prefix of 16 to 20 bits, for instance 10.60.0.0/16."
  }
}

variable "admin_group_object_ids" {
  description = "Entra groups whose members administer the cluster. At least one: there are no local accounts."
  type        = list(string)
  validation {
    condition     = length(var.admin_group_object_ids) > 0 && alltrue([for id in var.admin_group_object_ids : can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", id))])
    error_message = "At least one group, each by the UUID of its object."
  }
}

variable "database_admin" {
  description = "The Entra principal that administers PostgreSQL: it makes the logins (deploy/README.md), and is to be trusted like the superuser."
  type = object({
    object_id = string
    name      = string
    type      = string
  })
  validation {
    condition     = contains(["User", "Group", "ServicePrincipal"], var.database_admin.type)
    error_message = "The type is User, Group or ServicePrincipal."
  }
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes; patches come by themselves in the maintenance window."
  type        = string
  default     = "1.33"
  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "A minor version, for instance 1.33."
  }
}

variable "node_size" {
  description = "Size of the nodes that serve. It needs a local disk that the operating system fits on."
  type        = string
  default     = "Standard_D8ds_v5"
  validation {
    condition     = can(regex("^Standard_[A-Z]+[0-9]+[a-z]*d[a-z]*_v[0-9]+$", var.node_size))
    error_message = "A size with a local disk (a d in its letters), for instance Standard_D8ds_v5."
  }
}

variable "node_count" {
  description = "Fewest and most nodes that serve; at least three, one for each zone."
  type        = object({ min = number, max = number })
  default     = { min = 3, max = 9 }
  validation {
    condition     = var.node_count.min >= 3 && var.node_count.max >= var.node_count.min && var.node_count.max <= 100
    error_message = "At least 3, at most 100, and the most not below the fewest."
  }
}

variable "database_size" {
  description = "SKU of PostgreSQL; burstable ones have no zone-redundant standby."
  type        = string
  default     = "GP_Standard_D4ds_v5"
  validation {
    condition     = can(regex("^(GP|MO)_Standard_", var.database_size))
    error_message = "General purpose or memory optimised: GP_Standard_... or MO_Standard_..."
  }
}

variable "database_storage_mb" {
  description = "Storage of PostgreSQL in MiB; it grows by itself and never shrinks. See docs/operations.md for capacity."
  type        = number
  default     = 262144
  validation {
    condition     = contains([131072, 262144, 524288, 1048576, 2097152, 4193280, 8388608, 16777216], var.database_storage_mb)
    error_message = "One of the sizes that Flexible Server has: 131072 to 16777216."
  }
}

variable "checkpoint_retention_days" {
  description = "How long a checkpoint in the container cannot be changed or deleted."
  type        = number
  default     = 2192
  validation {
    condition     = var.checkpoint_retention_days >= 2192 && var.checkpoint_retention_days <= 146000
    error_message = "At least 2192 days (six years), at most 146000."
  }
}

variable "lock_checkpoint_retention" {
  description = "Lock the container's immutability policy. It can never be unlocked or shortened again, and the container cannot be deleted while it holds a checkpoint: set it to true once the rest is proven, and only in production."
  type        = bool
  default     = false
}

variable "i_understand_that_locking_is_forever" {
  description = "The second, explicit word for lock_checkpoint_retention."
  type        = string
  default     = ""
}

variable "alert_email" {
  description = "Where alerts go."
  type        = string
  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.alert_email))
    error_message = "An e-mail address."
  }
}

variable "monthly_budget" {
  description = "The month's budget in the subscription's currency: alerts at 80 % forecast and 100 % spent. It stops nothing."
  type        = number
  validation {
    condition     = var.monthly_budget > 0
    error_message = "More than nothing."
  }
}

variable "budget_start" {
  description = "First day of the budget's first month."
  type        = string
  validation {
    condition     = can(regex("^20[0-9]{2}-(0[1-9]|1[0-2])-01T00:00:00Z$", var.budget_start))
    error_message = "The first of a month, for instance 2027-01-01T00:00:00Z."
  }
}

variable "log_retention_days" {
  description = "How long Log Analytics keeps what it is sent, interactively."
  type        = number
  default     = 180
  validation {
    condition     = var.log_retention_days >= 90 && var.log_retention_days <= 730
    error_message = "90 to 730 days."
  }
}

variable "pipeline_repository" {
  description = "The repository on GitHub whose environments `registry` and that of this subscription may push and roll out. Its numbers are its immutable ids (the API's repository.id and repository.owner.id)."
  type        = object({ owner = string, owner_id = number, name = string, id = number })
  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,38}$", var.pipeline_repository.owner)) && can(regex("^[A-Za-z0-9._-]{1,100}$", var.pipeline_repository.name)) && var.pipeline_repository.owner_id > 0 && var.pipeline_repository.id > 0
    error_message = "An owner and a name as GitHub has them, each with its number."
  }
}
