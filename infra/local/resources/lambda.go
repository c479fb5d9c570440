package resources

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"rolecall/infra/local/cfn"
	"rolecall/infra/local/lambda"
)

type functionProperties struct {
	FunctionName, Description, Handler, Runtime, Role string
	Architectures                                     []string
	Code                                              struct{ S3Bucket, S3Key string }
	Environment                                       struct{ Variables map[string]string }
	Timeout, MemorySize                               integer
	ReservedConcurrentExecutions                      *integer
	LoggingConfig                                     struct{ LogGroup, LogFormat, ApplicationLogLevel, SystemLogLevel string }
	DeadLetterConfig                                  struct{ TargetArn string }
	TracingConfig                                     struct{ Mode string }
	Tags                                              []tag
}

func registerLambda(e *cfn.Engine, s Services) {
	e.Register("AWS::Lambda::Function", provider{create: createFunction(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return ignoreMissing(s.Lambda.Delete(functionARN(r, r.PhysicalID)))
	}})
	e.Register("AWS::Lambda::Permission", provider{create: permit(s), remove: nothing})
	e.Register("AWS::Lambda::EventSourceMapping", provider{create: createMapping(s), remove: func(_ context.Context, r *cfn.ResourceRequest) error {
		return ignoreMissing(s.Lambda.DeleteMapping(r.PhysicalID))
	}})
}

func functionARN(r *cfn.ResourceRequest, nameOrARN string) string {
	if strings.HasPrefix(nameOrARN, "arn:") {
		return nameOrARN
	}
	return fmt.Sprintf("arn:%s:lambda:%s:%s:function:%s", r.Partition, r.Region, r.Account, nameOrARN)
}

func createFunction(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p functionProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		if p.FunctionName == "" {
			p.FunctionName = r.Name(64)
		}
		arn := functionARN(r, p.FunctionName)
		made := cfn.Result{PhysicalID: p.FunctionName, Attributes: map[string]any{"Arn": arn}}
		if !strings.HasPrefix(p.Runtime, "provided.") {
			return cfn.Result{}, refuse("runtime %s: the laptop runs functions that bring their own bootstrap, provided.*", p.Runtime)
		}
		folder, err := s.Asset(p.Code.S3Key)
		if err != nil {
			return cfn.Result{}, err
		}
		f := lambda.Function{
			Name: p.FunctionName, ARN: arn, Account: r.Account, Region: r.Region, Bootstrap: filepath.Join(folder, p.Handler),
			Env: p.Environment.Variables, Timeout: time.Duration(p.Timeout) * time.Second, MemoryMB: int(p.MemorySize),
			RoleARN: p.Role, DeadLetterARN: p.DeadLetterConfig.TargetArn, Description: p.Description,
		}
		if n := p.ReservedConcurrentExecutions; n != nil {
			reserved := int(*n)
			f.ReservedConcurrency = &reserved
		}
		return made, s.Lambda.Create(f)
	}
}

func permit(s Services) makeStep {
	return func(_ context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p struct{ Action, FunctionName, Principal, SourceArn, SourceAccount string }
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		id := r.Name(100)
		return cfn.Result{PhysicalID: id}, s.Lambda.Allow(functionARN(r, p.FunctionName), lambda.Permission{
			ID: id, Principal: p.Principal, SourceARN: p.SourceArn, SourceAccount: p.SourceAccount,
		})
	}
}

type mappingProperties struct {
	FunctionName, EventSourceArn, StartingPosition string
	Enabled                                        *flag
	BatchSize, MaximumBatchingWindowInSeconds      integer
	MaximumRetryAttempts                           *integer
	MaximumRecordAgeInSeconds                      integer
	BisectBatchOnFunctionError                     flag
	FunctionResponseTypes                          []string
	FilterCriteria                                 struct{ Filters []struct{ Pattern string } }
	ScalingConfig                                  struct{ MaximumConcurrency integer }
	DestinationConfig                              struct{ OnFailure struct{ Destination string } }
	ParallelizationFactor                          integer
}

func createMapping(s Services) makeStep {
	return func(ctx context.Context, r *cfn.ResourceRequest) (cfn.Result, error) {
		var p mappingProperties
		if err := properties(r.Properties, &p); err != nil {
			return cfn.Result{}, err
		}
		m := lambda.Mapping{
			FunctionARN: functionARN(r, p.FunctionName), SourceARN: p.EventSourceArn, Disabled: p.Enabled != nil && !bool(*p.Enabled),
			BatchSize: int(p.BatchSize), BatchingWindow: time.Duration(p.MaximumBatchingWindowInSeconds) * time.Second,
			MaximumConcurrency: int(p.ScalingConfig.MaximumConcurrency), FromLatest: p.StartingPosition == "LATEST",
			BisectBatchOnFunctionError: bool(p.BisectBatchOnFunctionError), OnFailure: p.DestinationConfig.OnFailure.Destination,
		}
		for _, t := range p.FunctionResponseTypes {
			m.ReportBatchItemFailures = m.ReportBatchItemFailures || t == "ReportBatchItemFailures"
		}
		for _, f := range p.FilterCriteria.Filters {
			m.FilterPatterns = append(m.FilterPatterns, f.Pattern)
		}
		if n := p.MaximumRetryAttempts; n != nil {
			tries := int(*n)
			m.MaximumRetryAttempts = &tries
		}
		if p.MaximumRecordAgeInSeconds > 0 {
			m.MaximumRecordAge = time.Duration(p.MaximumRecordAgeInSeconds) * time.Second
		}
		uuid, err := s.Lambda.CreateMapping(ctx, m)
		return cfn.Result{PhysicalID: uuid}, err
	}
}
