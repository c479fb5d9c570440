resource "aws_iam_role" "rolecall_0000000000_1" {
  name                  = "rolecall-0000000000-1"
  description           = "Lets Acme Cloud (EU) (account 111111111111) in with read-only permissions - conn_01jd0000000000000000000000"
  max_session_duration  = 3600
  force_detach_policies = true
  assume_role_policy    = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Effect": "Allow",
          "Principal": {
            "AWS": "arn:aws:iam::111111111111:root"
          },
          "Action": "sts:AssumeRole",
          "Condition": {
            "StringEquals": {
              "sts:ExternalId": "rc-0"
            }
          }
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy" "rolecall_0000000000_1_exceptions" {
  name   = "RolecallExceptions"
  role   = aws_iam_role.rolecall_0000000000_1.name
  policy = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "StoredObjects",
          "Effect": "Deny",
          "Action": [
            "ebs:GetSnapshotBlock",
            "glacier:GetJobOutput",
            "s3:GetObject",
            "s3:GetObjectTorrent",
            "s3:GetObjectVersion",
            "s3:GetObjectVersionForReplication",
            "s3:GetObjectVersionTorrent",
            "s3-object-lambda:GetObject",
            "s3-object-lambda:GetObjectVersion",
            "s3-outposts:GetObject",
            "s3-outposts:GetObjectVersion",
            "s3express:CreateSession",
            "s3tables:GetTableData"
          ],
          "Resource": "*"
        },
        {
          "Sid": "Secrets",
          "Effect": "Deny",
          "Action": [
            "appconfig:GetConfiguration",
            "appconfig:GetLatestConfiguration",
            "ec2:GetPasswordData",
            "kms:Decrypt",
            "secretsmanager:BatchGetSecretValue",
            "secretsmanager:GetSecretValue",
            "ssm:GetParameter",
            "ssm:GetParameterHistory",
            "ssm:GetParameters",
            "ssm:GetParametersByPath"
          ],
          "Resource": "*"
        },
        {
          "Sid": "DatabaseRecords",
          "Effect": "Deny",
          "Action": [
            "aoss:APIAccessAll",
            "athena:GetQueryResults",
            "athena:GetQueryResultsStream",
            "cassandra:Select",
            "dax:BatchGetItem",
            "dax:GetItem",
            "dax:Query",
            "dax:Scan",
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:GetRecords",
            "dynamodb:PartiQLSelect",
            "dynamodb:Query",
            "dynamodb:Scan",
            "es:ESHttpGet",
            "neptune-db:ReadDataViaQuery",
            "rds:DownloadCompleteDBLogFile",
            "rds:DownloadDBLogFilePortion",
            "rds-data:ExecuteStatement",
            "redshift-data:GetStatementResult",
            "timestream:Select"
          ],
          "Resource": "*"
        },
        {
          "Sid": "MessagesAndStreams",
          "Effect": "Deny",
          "Action": [
            "kinesis:GetRecords",
            "kinesis:SubscribeToShard",
            "kinesisvideo:GetMedia",
            "sqs:ReceiveMessage",
            "states:DescribeExecution",
            "states:GetExecutionHistory"
          ],
          "Resource": "*"
        },
        {
          "Sid": "Logs",
          "Effect": "Deny",
          "Action": [
            "ec2:GetConsoleOutput",
            "ec2:GetConsoleScreenshot",
            "logs:FilterLogEvents",
            "logs:GetLogEvents",
            "logs:GetLogRecord",
            "logs:GetQueryResults",
            "logs:StartLiveTail",
            "logs:StartQuery",
            "logs:Unmask"
          ],
          "Resource": "*"
        },
        {
          "Sid": "Code",
          "Effect": "Deny",
          "Action": [
            "codeartifact:GetPackageVersionAsset",
            "codeartifact:ReadFromRepository",
            "codecommit:BatchGetCommits",
            "codecommit:GetBlob",
            "codecommit:GetDifferences",
            "codecommit:GetFile",
            "codecommit:GetFolder",
            "codecommit:GitPull",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
            "lambda:GetFunction",
            "lambda:GetLayerVersion"
          ],
          "Resource": "*"
        },
        {
          "Sid": "People",
          "Effect": "Deny",
          "Action": [
            "cognito-idp:AdminGetUser",
            "cognito-idp:ListUsers",
            "cognito-idp:ListUsersInGroup",
            "cognito-sync:ListRecords"
          ],
          "Resource": "*"
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy" "rolecall_0000000000_1_verification" {
  name   = "RolecallVerification"
  role   = aws_iam_role.rolecall_0000000000_1.name
  policy = <<-JSON
    {
      "Version": "2012-10-17",
      "Statement": [
        {
          "Sid": "ReadOwnTrustPolicy",
          "Effect": "Allow",
          "Action": [
            "iam:GetRole"
          ],
          "Resource": "${aws_iam_role.rolecall_0000000000_1.arn}"
        },
        {
          "Sid": "AskOwnPermissions",
          "Effect": "Allow",
          "Action": [
            "iam:SimulatePrincipalPolicy"
          ],
          "Resource": "${aws_iam_role.rolecall_0000000000_1.arn}"
        },
        {
          "Sid": "ListRegions",
          "Effect": "Allow",
          "Action": [
            "ec2:DescribeRegions"
          ],
          "Resource": "*"
        }
      ]
    }
  JSON
}

resource "aws_iam_role_policy_attachment" "rolecall_0000000000_1_managed_1" {
  role       = aws_iam_role.rolecall_0000000000_1.name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
  depends_on = [aws_iam_role_policy.rolecall_0000000000_1_exceptions, aws_iam_role_policy.rolecall_0000000000_1_verification]
}

output "rolecall_0000000000_1_arn" {
  description = "Give this role ARN to Acme Cloud (EU)."
  value       = aws_iam_role.rolecall_0000000000_1.arn
  depends_on  = [aws_iam_role_policy.rolecall_0000000000_1_exceptions, aws_iam_role_policy.rolecall_0000000000_1_verification, aws_iam_role_policy_attachment.rolecall_0000000000_1_managed_1]
}
