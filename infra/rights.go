package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/jsii-runtime-go"
)

// rights are the statements of each function's role, apart from its own log group: all that it may do, written out. CDK's
// grant methods are not used, since they give more than the code calls. It also writes the keys' own policies, so call it once.
func (p *platform) rights() map[string][]awsiam.PolicyStatement {
	table := p.table.TableArn()
	current, accepted := p.macKeys[0].key, make([]awskms.Key, 0, len(p.macKeys))
	for _, k := range p.macKeys {
		accepted = append(accepted, k.key)
	}
	return map[string][]awsiam.PolicyStatement{
		fnAPI: {
			// Beyond the use cases: parts of tenants' limits are taken.
			allow("Table", storeActions("dynamodb:Query", "dynamodb:UpdateItem"), table),
			allow("TenantsConnections", []string{"dynamodb:Query"}, p.indexARN(indexTenant)),
			p.use(fnAPI, "MakeCallbackTokens", "kms:GenerateMac", nil, current),
			p.use(fnAPI, "SealAccessKeys", "kms:Encrypt", forOneConnection(), p.sealingKey),
		},
		fnBroker: {
			// Beyond the use cases: an enrolment's accounts are listed to begin failures again, and parts of tenants' limits leased.
			allow("Table", storeActions("dynamodb:Query", "dynamodb:UpdateItem"), table),
			allow("AskForVerification", []string{"sqs:SendMessage"}, p.verifyNow.QueueArn()),
			p.use(fnBroker, "MakeCallbackTokens", "kms:GenerateMac", nil, current),
			p.use(fnBroker, "OpenAccessKeys", "kms:Decrypt", forOneConnection(), p.sealingKey),
			p.assumeCustomersRoles(),
			p.neverOwnRoles(),
		},
		fnCallback: {
			allow("Table", storeActions("dynamodb:UpdateItem"), table), // counts an enrolment's accounts
			allow("KnownAccounts", []string{"dynamodb:Query"}, p.indexARN(indexTenant)),
			allow("TakeCallbacks", consume("sqs:ChangeMessageVisibility"), p.callbacks.QueueArn()),
			allow("AskForVerification", []string{"sqs:SendMessage"}, p.verifyNow.QueueArn()),
			p.use(fnCallback, "CheckCallbackTokens", "kms:VerifyMac", nil, accepted...),
		},
		fnVerify: {
			// Beyond the use cases: an enrolment's accounts are counted, and parts of tenants' limits leased.
			allow("Table", storeActions("dynamodb:UpdateItem"), table),
			allow("KnownAccounts", []string{"dynamodb:Query"}, p.indexARN(indexTenant)),
			allow("TakeWork", consume(), p.verifyNow.QueueArn(), p.verifySweep.QueueArn()),
			allow("FailedTriesComeAgainSoon", []string{"sqs:ChangeMessageVisibility"}, p.verifyNow.QueueArn()),
			allow("TryAgainLater", []string{"sqs:SendMessage"}, p.verifyNow.QueueArn(), p.verifySweep.QueueArn()),
			p.use(fnVerify, "OpenAccessKeys", "kms:Decrypt", forOneConnection(), p.sealingKey),
			p.assumeCustomersRoles(),
			p.neverOwnRoles(),
		},
		fnRefresh: {
			p.moveCursor(),
			allow("DueConnections", []string{"dynamodb:Query"}, p.indexARN(indexSlot), p.indexARN(indexDue)),
			allow("HandOutWork", []string{"sqs:SendMessage"}, p.verifySweep.QueueArn()),
		},
		fnPublish: {
			allow("ReadStream", []string{
				"dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator",
			}, p.table.TableStreamArn()),
			// ListStreams knows no resource: Lambda asks for it when the event source is made.
			allow("FindStream", []string{"dynamodb:ListStreams"}, jsii.String("*")),
			allow("Publish", []string{"events:PutEvents"}, p.bus.EventBusArn()),
			// Lambda writes here with the function's role what could not be published.
			allow("KeepUndelivered", []string{"s3:PutObject"}, p.undelivered.ArnForObjects(jsii.String("aws/lambda/*"))),
			allow("FindUndelivered", []string{"s3:ListBucket"}, p.undelivered.BucketArn()),
		},
	}
}

// storeActions are the requests that package store makes for a use case: it reads a connection with what belongs to it in
// one batch, and writes whole items in a transaction, which deletes the claim on a role that is given up.
func storeActions(more ...string) []string {
	return append([]string{"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"}, more...)
}

// consume is what Lambda needs, with the function's role, to feed it from a queue.
func consume(more ...string) []string {
	return append([]string{"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}, more...)
}

func sessionActions() []string {
	return []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}
}

// assumeCustomersRoles names no account, since every customer's is meant; the customer's trust policy decides.
func (p *platform) assumeCustomersRoles() awsiam.PolicyStatement {
	return allow("AssumeCustomersRoles", sessionActions(), jsii.String("arn:"+p.cfg.partition+":iam::*:role/*"))
}

// neverOwnRoles keeps a connection that names a role of the platform's own account from becoming a way into it.
func (p *platform) neverOwnRoles() awsiam.PolicyStatement {
	return statement(awsiam.Effect_DENY, "NeverOwnRoles", sessionActions(), jsii.String(p.cfg.arn("iam", "", "role/*")))
}

// forOneConnection is the condition for the sealing key's use: the encryption context names a tenant and a connection, and
// nothing besides. Nobody seals an access key for everybody, not by mistake either.
func forOneConnection() map[string]any {
	return map[string]any{
		"Null":                      map[string]any{"kms:EncryptionContext:tenant": "false", "kms:EncryptionContext:connection": "false"},
		"ForAllValues:StringEquals": map[string]any{"kms:EncryptionContextKeys": []string{"tenant", "connection"}},
	}
}

// moveCursor opens the item that says how far the sweep came, and no connection.
func (p *platform) moveCursor() awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Cursor"),
		Actions:    jsii.Strings("dynamodb:GetItem", "dynamodb:PutItem"),
		Resources:  &[]*string{p.table.TableArn()},
		Conditions: &map[string]any{"ForAllValues:StringEquals": map[string]any{"dynamodb:LeadingKeys": []string{"SWEEP#cursor"}}},
	})
}

func allow(sid string, actions []string, resources ...*string) awsiam.PolicyStatement {
	return statement(awsiam.Effect_ALLOW, sid, actions, resources...)
}

func statement(effect awsiam.Effect, sid string, actions []string, resources ...*string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String(sid), Effect: effect, Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

func document(statements ...awsiam.PolicyStatement) awsiam.PolicyDocument {
	return awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements})
}
