// Package customresource speaks CloudFormation's custom-resource protocol over SNS and SQS: it reads the requests of
// customers' stacks, and gives the answers.
//
// Whoever has an AWS account can send a request, so nothing in one is believed here: a message is admitted only with an
// answer address of CloudFormation's form, whose key names the request, and is dropped otherwise. Only CloudFormation can
// sign one, so a bucket that takes the answer proves that CloudFormation made the request. aws-lambda-go's cfn package is
// not used: its sender follows redirects with the answer, does not retry, lets bodies grow over CloudFormation's limit and
// prints the signed URL in errors.
package customresource
