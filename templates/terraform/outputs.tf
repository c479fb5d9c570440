output "role_arn" {
  description = "The role's ARN, to be given to the platform once everything is in place."
  value       = aws_iam_role.this.arn
  depends_on  = [aws_iam_role_policy_attachment.managed, aws_iam_role_policy.custom, aws_iam_role_policy.verification]
}

output "role_name" {
  description = "The role's name, for further policies of your own."
  value       = aws_iam_role.this.name
}
