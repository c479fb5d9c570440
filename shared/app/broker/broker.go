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
	"rolecall/shared/app/verify"
	"rolecall/shared/config"
	"rolecall/shared/connect"
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
	maker := connect.SessionMaker{
		Store: table, Assumer: v.Verifier.Assumer, Clock: time.Now, EventID: eventID,
		Refusals: &connect.Rechecks{Jobs: verify.Soon(c, cfg), Clock: time.Now},
	}
	return front.BehindGateway(c, httpapi.NewBroker(httpapi.BrokerParts{
		Verifications: v, Deployment: front.Deployment(c, manifest),
		Tokens:  token.MAC{Client: kms.NewFromConfig(cfg), KeyARN: c.MACKeyARN},
		Issuing: connect.Issuing{Store: table, Sessions: connect.NewSessionCache(maker, connect.DefaultCacheSize, time.Now)},
		Log:     app.Logger(c),
	})), nil
}

func eventID() string { return "evt_" + strings.ToLower(rand.Text()) }
