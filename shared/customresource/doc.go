// Package customresource speaks CloudFormation's custom-resource protocol over SNS and SQS: it reads the requests of
// customers' stacks, and gives the answers.
//
// Whoever has an AWS account can send a request, so nothing in one is believed here: what cannot be read is refused, and
// an answer goes only to a URL that CloudFormation itself must have signed. aws-lambda-go's cfn package is not used: its
// sender follows redirects with the answer, does not retry, lets bodies grow over CloudFormation's limit and prints the
// signed URL in errors.
package customresource
