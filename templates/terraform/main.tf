# One IAM role that a platform running Rolecall can assume: the same role that the CloudFormation template makes.

data "aws_partition" "current" {}

locals {
  manifest = jsondecode(file("${path.module}/permission_sets.json"))
  set      = try(local.manifest.sets[var.permission_set], { managed_policies = [], deny = [] })
  custom   = var.permission_set == "custom" ? try(jsondecode(var.custom_policy), local.set.policy, null) : null
  platform = "arn:${data.aws_partition.current.partition}:iam::${var.platform_account_id}"
}

# Three things guard it: the platform's account, the path of the roles in it that may ask, the external ID. Its policies may be
# more than this module's: a revocation of sessions adds one for an hour.
resource "aws_iam_role" "this" {
  name                  = var.role_name
  name_prefix           = var.role_name == null ? "rolecall-" : null
  path                  = var.role_path
  force_detach_policies = true
  description           = "Lets ${var.platform_name} (account ${var.platform_account_id}) in with ${var.permission_set} permissions${var.connection_id == "" ? "" : " - ${var.connection_id}"}"
  max_session_duration  = var.max_session_duration
  permissions_boundary  = var.permissions_boundary_arn
  tags                  = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "PlatformWithExternalId"
      Effect    = "Allow"
      Principal = { AWS = "${local.platform}:root" }
      Action    = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
      Condition = {
        StringEquals = { "sts:ExternalId" = var.external_id }
        ArnLike      = { "aws:PrincipalArn" = "${local.platform}:role/rolecall/*" }
      }
    }]
  })

  lifecycle {
    precondition {
      condition     = contains(keys(local.manifest.sets), var.permission_set) || local.custom != null
      error_message = "The permission sets are ${join(", ", keys(local.manifest.sets))}; custom needs the platform's policy in custom_policy."
    }
  }
}

# What the permission set takes away. It is there before what it takes away from.
resource "aws_iam_role_policy" "exceptions" {
  count = length(local.set.deny) > 0 ? 1 : 0

  name   = "RolecallExceptions"
  role   = aws_iam_role.this.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.set.deny })
}

# What the platform's own permission set grants.
resource "aws_iam_role_policy" "custom" {
  count = local.custom == null ? 0 : 1

  name   = "RolecallCustom"
  role   = aws_iam_role.this.name
  policy = jsonencode(local.custom)
}

# What verification needs whatever the permission set: to read how the role is guarded, and to try that it works.
resource "aws_iam_role_policy" "verification" {
  name = "RolecallVerification"
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for s in local.manifest.always : merge(s, { Resource = s.Resource == "role" ? aws_iam_role.this.arn : s.Resource })]
  })
}

resource "aws_iam_role_policy_attachment" "managed" {
  for_each = toset(local.set.managed_policies)

  role       = aws_iam_role.this.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value}"

  depends_on = [aws_iam_role_policy.exceptions, aws_iam_role_policy.verification]
}
