// Package api composes the function that answers the routes that take no right in any customer's account.
package api

import (
	"crypto/rand"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"rolecall/shared/app"
	"rolecall/shared/app/front"
	"rolecall/shared/app/keys"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/httpapi"
	"rolecall/shared/store"
	"rolecall/shared/token"
	"rolecall/templates"
)

// New makes the function that answers the routes that take no right in any customer's account.
func New(c config.Config) (front.Function, error) {
	manifest, err := templates.Offered(c.CustomPermissions)
	if err != nil {
		return nil, err
	}
	cfg := app.AWS(c)
	table := &store.Store{Client: dynamodb.NewFromConfig(cfg), Table: c.Table}
	tokens := token.MAC{Client: kms.NewFromConfig(cfg), Current: c.MACKey, Keys: c.MACKeys}
	deployment := front.Deployment(c, manifest)
	intake := keys.Intake(c, cfg)
	intake.Limit = front.Ration(table, connect.RationedVerifications, c.VerifyRate)
	return front.BehindGateway(c, httpapi.NewAPI(httpapi.APIParts{
		Connections: connect.Connections{
			Store: table, Replays: table, Scopes: table, Deployment: deployment, Keys: intake, Clock: time.Now, Random: rand.Reader,
			Places: &connect.Places{Store: table, Clock: time.Now, Most: c.MostPending},
		},
		Intakes:    connect.Intakes{Store: table, Deployment: deployment, Clock: time.Now, Random: rand.Reader},
		Enrolments: connect.Enrolments{Store: table, Replays: table, Deployment: deployment, Clock: time.Now, Random: rand.Reader},
		Tokens:     tokens, EnrolmentTokens: tokens, Issuer: c.Issuer, Log: app.Logger(c),
		Rations: []*connect.Ration{
			front.Ration(table, connect.RationedReads, c.ReadRate), front.Ration(table, connect.RationedLaunches, c.LaunchRate),
		},
	})), nil
}
