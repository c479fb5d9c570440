variable "platform_account_id" {
  description = "The platform's AWS account, as its page shows it. Only roles under /rolecall/ in this account can assume the role."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.platform_account_id))
    error_message = "The platform's account is 12 digits, in quotes: leading zeros count."
  }
}

variable "external_id" {
  description = "The connection's external ID, as the platform's page shows it. The role cannot be assumed without it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{20,128}$", var.external_id))
    error_message = "The external ID is 20 to 128 letters, digits, dashes and underscores, as the platform's page shows it."
  }
}

variable "platform_name" {
  description = "What the platform is called, for the role's description."
  type        = string
  default     = "Rolecall"
  nullable    = false
}

variable "connection_id" {
  description = "The connection's id, for the role's description; empty for none."
  type        = string
  default     = ""
  nullable    = false
}

variable "permission_set" {
  description = "What the platform may do in this account: the name of a set in permission_sets.json."
  type        = string
  default     = "read-only"
  nullable    = false
}

variable "custom_policy" {
  description = "The platform's own policy (JSON) for the permission set custom; null takes the one that the platform has put into this module."
  type        = string
  default     = null

  validation {
    condition     = var.custom_policy == null || can(jsondecode(var.custom_policy).Statement[0].Effect)
    error_message = "The policy is JSON with a list of Statements, exactly as the platform publishes it (policyUrl of its permission set custom)."
  }

  validation {
    condition     = var.custom_policy == null || length(coalesce(var.custom_policy, "-")) <= 8192
    error_message = "IAM takes 10240 characters of all of a role's inline policies together; the platform's own may have 8192."
  }
}

variable "role_name" {
  description = "The role's name; null has one made that begins with rolecall-."
  type        = string
  default     = null
}

variable "role_path" {
  description = "The role's path in IAM, beginning and ending with a slash."
  type        = string
  default     = "/"
  nullable    = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9_+=,.@-]+/)*$", var.role_path))
    error_message = "The path is a slash, or names between slashes, such as /vendors/."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of a policy that limits the role whatever else it is granted; null for none."
  type        = string
  default     = null
}

variable "max_session_duration" {
  description = "The longest that one session of the role can last, in seconds. The platform asks for an hour at most."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.max_session_duration >= 3600 && var.max_session_duration <= 43200
    error_message = "IAM takes 3600 to 43200 seconds."
  }
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
  nullable    = false
}
