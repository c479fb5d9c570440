// Package upload composes the function that uploads what customers run, when the platform is deployed.
package upload

import (
	"context"
	"time"

	"github.com/aws/aws-lambda-go/cfn"

	"rolecall/shared/app"
	"rolecall/shared/config"
	"rolecall/shared/customresource"
	"rolecall/shared/upload"
)

// New makes the function that uploads what customers run.
func New(c config.Config) func(context.Context, cfn.Event) error {
	u := upload.Uploader{
		Client: upload.NewClient(app.AWS(c)), Bucket: c.TemplatesBucket, Answerer: customresource.NewSender(nil, time.Now), Log: app.Logger(c),
	}
	return u.Handle
}
