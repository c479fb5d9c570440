// Package keys composes what functions do with customers' access keys: api proves and seals them, verify and broker open
// them.
package keys

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"rolecall/shared/app"
	"rolecall/shared/config"
	"rolecall/shared/connect"
	"rolecall/shared/customer"
	"rolecall/shared/seal"
)

// Intake proves access keys and seals them.
func Intake(c config.Config, cfg aws.Config) connect.KeyIntake {
	return connect.KeyIntake{Verifier: verifier(c, cfg), Sealer: sealing(c, cfg)}
}

// Ring opens access keys and looks whether they are still good.
func Ring(c config.Config, cfg aws.Config) connect.Keyring {
	return connect.Keyring{Opener: sealing(c, cfg), Verifier: verifier(c, cfg), MaxAge: c.KeyMaxAge}
}

// Sessions opens access keys and makes sessions with them.
func Sessions(c config.Config, cfg aws.Config) connect.KeySessions {
	asked := asked(cfg)
	return connect.KeySessions{Opener: sealing(c, cfg), Identifier: asked, Maker: asked, Clock: time.Now}
}

func verifier(c config.Config, cfg aws.Config) connect.KeyVerifier {
	return connect.KeyVerifier{
		Identifier: asked(cfg), Clock: time.Now,
		Regions: customer.Inspector{HTTP: app.PlainClient(), Clock: time.Now, Endpoint: c.Endpoint},
	}
}

func asked(cfg aws.Config) customer.Keys { return customer.Keys{Client: sts.NewFromConfig(cfg)} }

func sealing(c config.Config, cfg aws.Config) seal.KMS {
	return seal.KMS{Client: kms.NewFromConfig(cfg), KeyARN: c.SealingKeyARN}
}
