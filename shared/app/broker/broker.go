// Package broker composes the function that answers the routes that assume customers' roles.
package broker

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/shared/app"
	"rolecall/shared/app/front"
	"rolecall/shared/app/keys"
	"rolecall/shared/app/verify"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
	"rolecall/shared/httpapi"
	"rolecall/shared/store"
	"rolecall/shared/token"
	"rolecall/templates"
)

// New makes the function that answers the routes that assume customers' roles.
func New(c config.Config) (front.Function, error) {
	manifest, err := templates.Offered(c.CustomPermissions)
	if err != nil {
		return nil, err
	}
	cfg := app.AWS(c)
	v := verify.Verifications(c, cfg, manifest)
	table := &store.Store{Client: dynamodb.NewFromConfig(cfg), Table: c.Table}
	v.Limit = front.Ration(table, connect.RationedVerifications, c.VerifyRate)
	v.Revocations = front.Ration(table, connect.RationedRevocations, connect.MostRevocations)
	maker := connect.SessionMaker{
		Store: table, Assumer: v.Verifier.Assumer, Keys: keys.Sessions(c, cfg), Clock: time.Now, EventID: eventID,
		Refusals: &connect.Rechecks{Jobs: verify.Soon(c, cfg), Clock: time.Now},
	}
	issuing := connect.Issuing{
		Scopes: table, Limits: &connect.Limits{Tenants: front.Ration(table, connect.RationedCredentials, c.IssueRate), Clock: time.Now},
		Store: table, Clock: time.Now, Sessions: connect.NewSessionCache(maker, connect.DefaultCacheSize, time.Now),
	}
	deployment := front.Deployment(c, manifest)
	return front.BehindGateway(c, httpapi.NewBroker(httpapi.BrokerParts{
		Verifications: v, Deployment: deployment,
		Intakes: connect.Intakes{Store: table, Verifications: v, Deployment: deployment, Clock: time.Now, Random: rand.Reader},
		Retries: connect.Retries{Store: table, Jobs: v.Jobs, Deployment: deployment, Clock: time.Now, Limit: v.Limit},
		Tokens:  token.MAC{Client: kms.NewFromConfig(cfg), Current: c.MACKey, Keys: c.MACKeys},
		Issuing: issuing, SignIns: signIns(c, issuing, maker),
		Rations: []*connect.Ration{front.Ration(table, connect.RationedRevocations, c.RevokeRate)},
		Log:     app.Logger(c),
	})), nil
}

// signIns ask the partition's federation endpoint, or on a laptop the pocket one, whose links a browser there can open.
func signIns(c config.Config, issuing connect.Issuing, maker connect.SessionMaker) connect.SignIns {
	u := connect.SignIns{Issuing: issuing, Maker: maker, Partition: c.Platform.Partition}
	asked := c.Platform.Partition.FederationEndpoint()
	if c.Endpoint != "" && c.ConsoleURL != "" {
		asked, u.Endpoint = c.Endpoint+"/federation", c.ConsoleURL+"/federation"
	}
	u.Federation = customer.Federation{HTTP: app.PlainClient(), Endpoint: asked}
	return u
}

func eventID() string { return "evt_" + strings.ToLower(rand.Text()) }
